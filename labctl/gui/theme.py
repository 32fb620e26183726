"""Colours and sizes of the window: dark and light, and one colour for each mode of a bench."""

from __future__ import annotations

from dataclasses import dataclass

import pyqtgraph as pg
from qtpy.QtGui import QColor, QFont, QPalette
from qtpy.QtWidgets import QApplication

#: Frame colours, apart for colour-blind eyes; the word stands beside them always, in white.
MODES = {
    "real": ("#C04A00", "REAL BENCH"),
    "sim": ("#0072B2", "SIMULATED"),
    "replay": ("#007F5C", "REPLAY"),
    "": ("#727272", "NO BENCH"),
}
#: Curves: after Okabe and Ito, but with a contrast of 3 to the ground also where theirs have less.
CURVES = {
    "light": ("#0072B2", "#D55E00", "#009E73", "#C26BA0", "#6E4A00", "#22252B"),
    "dark": ("#56B4E9", "#E69F00", "#16A87E", "#F0A6CE", "#F0E442", "#D9653B"),
}


@dataclass(frozen=True)
class Theme:
    """Colours of one look."""

    name: str
    ground: str
    panel: str
    raised: str
    text: str
    dim: str
    line: str  # between things
    edge: str  # around what can be used
    accent: str
    good: str
    warn: str
    bad: str
    done: str  # part of a progress bar, under its text
    groove: str  # the rest of it
    unknown: str  # what of a map is not measured

    @property
    def curves(self) -> tuple[str, ...]:
        return CURVES[self.name]

    @property
    def on_accent(self) -> str:
        """Text on the accent colour."""
        return "#ffffff" if self.name == "light" else "#101317"


DARK = Theme(
    "dark", "#1b1e23", "#23272e", "#2f353e", "#e8eaed", "#a3abb6", "#434b56", "#7C8695",
    "#56B4E9", "#2CC295", "#F0B429", "#FF7A6B", "#21689A", "#101317", "#15171B",
)  # fmt: skip
LIGHT = Theme(
    "light", "#eceef1", "#ffffff", "#f5f6f8", "#1b1e23", "#59626e", "#c3c9d1", "#7A838E",
    "#0067A3", "#00785A", "#8A5A00", "#B3261E", "#5B8FBF", "#ffffff", "#CDD2D9",
)  # fmt: skip
THEMES = {"dark": DARK, "light": LIGHT}


def apply(theme: Theme) -> None:
    """Give the whole application this look."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        raise TypeError("there is no application yet")
    app.setStyle("Fusion")
    app.setPalette(_palette(theme))
    app.setStyleSheet(_sheet(theme))
    pg.setConfigOptions(background=theme.panel, foreground=theme.text, antialias=False)


def font(points: float, bold: bool = False) -> QFont:
    chosen = QFont()
    chosen.setPointSizeF(points)
    chosen.setBold(bold)
    return chosen


def _palette(theme: Theme) -> QPalette:
    palette = QPalette()
    roles = QPalette.ColorRole
    for role, colour in {
        roles.Window: theme.ground, roles.WindowText: theme.text, roles.Base: theme.panel,
        roles.AlternateBase: theme.raised, roles.Text: theme.text, roles.Button: theme.raised,
        roles.ButtonText: theme.text, roles.Highlight: theme.accent,
        roles.HighlightedText: theme.on_accent,
        roles.ToolTipBase: theme.raised, roles.ToolTipText: theme.text, roles.Link: theme.accent,
        roles.PlaceholderText: theme.dim, roles.Mid: theme.line, roles.Dark: theme.line,
    }.items():  # fmt: skip
        palette.setColor(role, QColor(colour))
    for role in (roles.Text, roles.ButtonText, roles.WindowText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.dim))
    return palette


def _sheet(theme: Theme) -> str:
    return f"""
* {{ font-size: 10pt; }}
QToolTip {{ color: {theme.text}; background: {theme.raised}; border: 1px solid {theme.edge};
  padding: 3px; }}
QLineEdit, QPlainTextEdit, QTextBrowser, QListWidget, QTreeWidget,
QTableView, QTableWidget, QTreeView, DiagramView {{
  background: {theme.panel}; color: {theme.text}; border: 1px solid {theme.line};
  border-radius: 3px; }}
QLineEdit {{ padding: 3px 5px; min-height: 18px; border-color: {theme.edge}; }}
QComboBox, QSpinBox {{ min-height: 24px; }}
QLineEdit:focus, QTableView:focus, QTreeView:focus, QTextBrowser:focus, QPlainTextEdit:focus,
DiagramView:focus, QPushButton:focus {{ border: 2px solid {theme.accent}; }}
QLineEdit:focus {{ padding: 2px 4px; }}
QLineEdit[wrong="true"] {{ border: 2px solid {theme.bad}; padding: 2px 4px; }}
QLineEdit:read-only {{ background: {theme.ground}; }}
QPushButton {{ background: {theme.raised}; color: {theme.text}; border: 1px solid {theme.edge};
  border-radius: 4px; padding: 5px 10px; }}
QPushButton:focus {{ padding: 4px 9px; }}
QPushButton:hover {{ border-color: {theme.accent}; }}
QPushButton:disabled {{ color: {theme.dim}; background: {theme.ground};
  border: 1px solid {theme.line}; }}
QPushButton:checked {{ background: {theme.accent}; color: {theme.on_accent}; }}
QPushButton[role="go"] {{ background: {theme.accent}; border-color: {theme.accent};
  color: {theme.on_accent}; font-weight: bold; }}
QPushButton[role="go"]:focus, QPushButton:checked:focus {{ border: 2px solid {theme.text}; }}
QPushButton[role="go"]:disabled {{ background: {theme.ground}; color: {theme.dim};
  border: 1px solid {theme.line}; }}
QPushButton[role="small"] {{ padding: 2px 6px; }}
QPushButton[role="small"]:focus {{ padding: 1px 5px; }}
QPushButton[role="stop"] {{ background: #C62828; color: white; border: 2px solid #8E0000;
  font-weight: bold; padding: 8px 14px; }}
QPushButton[role="stop"]:hover {{ background: #D32F2F; }}
QPushButton[role="stop"]:focus {{ border: 2px solid {theme.text}; padding: 8px 14px; }}
QPushButton[role="flat"] {{ background: transparent; border: 1px solid transparent; padding: 3px; }}
QPushButton[role="flat"]:hover {{ border-color: {theme.edge}; }}
QPushButton[role="flat"]:focus {{ border: 1px solid {theme.accent}; padding: 3px; }}
QTabWidget::pane {{ border: 1px solid {theme.line}; background: {theme.panel}; top: -1px; }}
QTabBar::tab {{ background: {theme.ground}; color: {theme.dim}; padding: 7px 14px;
  border: 1px solid {theme.line}; border-bottom: none; margin-right: 2px;
  border-top-left-radius: 4px; border-top-right-radius: 4px; }}
QTabBar::tab:selected {{ background: {theme.panel}; color: {theme.text}; font-weight: bold;
  border-top: 2px solid {theme.accent}; }}
QTabBar:focus {{ outline: none; }}
QTabBar::tab:selected:focus {{ border: 2px solid {theme.accent}; border-bottom: none; }}
QHeaderView::section {{ background: {theme.raised}; color: {theme.dim}; padding: 4px 6px;
  border: none; border-right: 1px solid {theme.line}; border-bottom: 1px solid {theme.line}; }}
QTableView, QTreeView {{ alternate-background-color: {theme.raised};
  gridline-color: {theme.line}; }}
QProgressBar {{ background: {theme.groove}; border: 1px solid {theme.edge}; border-radius: 3px;
  text-align: center; color: {theme.text}; min-height: 18px; }}
QProgressBar::chunk {{ background: {theme.done}; }}
QScrollArea {{ border: none; }}
QGroupBox {{ border: 1px solid {theme.line}; border-radius: 4px; margin-top: 12px;
  padding-top: 6px; font-weight: bold; }}
QGroupBox::title {{ subcontrol-origin: margin; left: 8px; padding: 0 4px; color: {theme.dim}; }}
QSplitter::handle {{ background: {theme.ground}; }}
QFrame#card {{ background: {theme.panel}; border: 1px solid {theme.line};
  border-left: 6px solid {theme.bad}; border-radius: 4px; }}
QFrame#offer {{ background: {theme.panel}; border: 1px solid {theme.line};
  border-left: 6px solid {theme.warn}; border-radius: 4px; }}
QFrame#statebar {{ background: {theme.panel}; border-bottom: 1px solid {theme.line}; }}
QLabel#dim {{ color: {theme.dim}; }}
QLabel#wrong {{ color: {theme.bad}; }}
QLabel#safe {{ color: {theme.good}; font-weight: bold; }}
QLabel#unsafe {{ color: {theme.bad}; font-weight: bold; }}
QLabel#heading {{ font-size: 12pt; font-weight: bold; }}
"""
