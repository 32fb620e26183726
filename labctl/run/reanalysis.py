"""Analysing recorded data again, as a new run that cites the old one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl.errors import LabError, RequestError
from labctl.jsonline import to_json
from labctl.procedure import LabProcedure
from labctl.run import provenance
from labctl.run.folder import RunFolder
from labctl.run.keys import KeySink
from labctl.run.reading import RunReader
from labctl.run.request import describe_parameters, rebuild
from labctl.run.results import analyse


def reanalyse(path: Path, changes: Mapping[str, Any], runs_dir: Path) -> Path:
    """Copy what a run recorded into a new folder and analyse it with changed parameters.

    Raises:
        RequestError: wrong parameters, or nothing to analyse.
        LabError: the analysis failed; the new folder, which held copies only, is gone again.
    """
    source = RunFolder.open(path)
    procedure, _ = rebuild(source.start)
    if not isinstance(procedure, LabProcedure):
        raise RequestError(f"{path}: {source.start['procedure']} defines no analysis")
    if not source.rows:
        raise RequestError(f"{path}: has no rows to analyse")
    procedure.set(**changes)
    entry = {
        **source.start,
        **describe_parameters(procedure),
        "analysis_of": str(source.path.resolve()),
        **provenance.collect(type(procedure)),
    }
    folder = RunFolder.create(runs_dir, source.start["procedure"], entry)
    try:
        folder.note(f"analysis of {source.path.name}; rows, traces and tags are copies")
        for number, (row, t) in enumerate(zip(source.rows, source.times, strict=True)):
            traces = {
                name: source.trace(name, number)
                for name in source.trace_names
                if source.has_trace(name, number)
            }
            for name in source.tag_names:
                for cited in source.tag_entries(name, number):
                    folder.record_tags(name, source.tag_batch(cited), float(cited["t"]))
            folder.emit({**row, **traces}, float(t))
        procedure.key_sink = KeySink(folder, deliver=False)
        analyse(procedure, folder)
        if without := _without_effect(source, folder):
            folder.note(without)
        folder.stop("finished", "")
    except BaseException as error:
        folder.close()
        shutil.rmtree(folder.path, ignore_errors=True)
        if isinstance(error, LabError) or not isinstance(error, Exception):
            raise
        kind = type(error).__name__
        raise LabError(
            f"{path}: the analysis failed: {kind}: {error}".replace("\n", " ")
        ) from error
    folder.close()
    return folder.path


def _without_effect(source: RunReader, folder: RunReader) -> str:
    """What to say if other parameters gave the same results: they were measured with the old ones.

    Whoever reads the new run must not believe that its data were taken with its parameters.
    """
    before, after = (run.start.get("parameters") or {} for run in (source, folder))
    changed = [name for name, value in after.items() if value != before.get(name)]
    if not changed or to_json(folder.result) != to_json(source.result):
        return ""
    said = ", ".join(f"{name}={before.get(name)}" for name in changed)
    return (
        f"the results are those of {source.path.name}: its analysis does not use "
        f"{', '.join(changed)}; what was measured with {said} stands"
    )
