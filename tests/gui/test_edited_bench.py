"""A bench file that is edited while the window is open."""

from __future__ import annotations


def test_the_frame_and_the_form_follow_the_bench_file(gui, place):
    file = place / "toy.toml"
    text = file.read_text()
    window = gui.open()
    form = window.form
    gui.choose("patient", steps="7")
    form.rows["level"].sweep.setChecked(True)
    form.rows["level"].set_text("0 to 9 V, 3 points")  # more than it takes: the reason stays, too
    form.title.setText("night")
    gui.idle()
    assert window.statebar.badge.text() == "SIMULATED"

    def edit(changed: str, badge: str) -> None:
        file.write_text(changed)
        gui.until(lambda: window.statebar.badge.text() == badge)
        gui.idle()

    edit(text.replace('mode = "sim"', 'mode = "real"'), "REAL BENCH")
    gui.until(lambda: "level" in form.rows)
    gui.idle()
    assert form.rows["level"].swept
    assert "above the maximum" in form.rows["level"].reason
    assert form.rows["steps"].text == "7"
    edit("[bench\n", "NO BENCH")
    gui.until(lambda: "not valid TOML" in form.plan.text())
    assert not form.queue_button.isEnabled()
    assert "not valid TOML" in window.bench.heading.text()
    file.unlink()
    gui.spin(0.5)
    edit(text, "SIMULATED")
    gui.until(lambda: "level" in form.rows)
    form.rows["level"].set_text("0 to 1 V, 3 points")
    gui.until(form.queue_button.isEnabled)
    assert window.form_control.wish.values["steps"] == 7
    assert len(window.form_control.wish.sets()) == 3
    assert form.title.text() == "night"
