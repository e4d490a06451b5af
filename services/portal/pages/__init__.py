"""The pages, a package for each room: a module's `router`, a line in `wiring.ROUTERS`, `templates/<room>/`.

A route takes its context as `PageContextDep` (anybody), `PersonDep` (a practitioner) or
`Annotated[PageContext, Depends(staff_with("clerk"))]`; forms are checked (`visit.form`) before it runs. It answers
`visit.page(template, …)` or `visit.go(path)`, and lets errors fall: `errors.py` makes pages of them.
"""
