"""The procedure manager: a window on the same queue, runs and benches as the command line.

It only looks at files and starts processes. Modules without `Qt` in their imports hold what is
shown; widgets are thin. Procedures and drivers run in other processes (`helper`, `benchhost`), so
that a broken one costs a line on the screen and not the window.
"""
