"""The pages, in packages with the same names as those of `templates/`; routers are listed in `wiring.ROUTERS`.

A route gets its context as `PageContextDep` (with or without a session), `PersonDep` (a practitioner) or
`Annotated[PageContext, Depends(staff_with("clerk"))]`; the CSRF token of `context.form` is checked before. It returns
`context.render(template, …)` or `context.redirect(path)`; `errors.py` renders the errors that it raises.
"""
