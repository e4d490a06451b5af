"""The pages, one module a group of them: its `router`, a line in `wiring.ROUTERS`, templates in `templates/<group>/`.

A route takes its visit as `VisitDep` (anybody), `PersonDep` (a practitioner) or `Annotated[Visit, Depends(staff_with(
"clerk"))]`; forms are checked (`visit.form`) before it runs. It answers `visit.page(template, …)` or `visit.go(path)`,
and lets errors fall: `failures.py` makes pages of them.
"""
