"""`python -m contracts write` generates the files listed in `contracts.files`; `check` fails when they are stale."""

import typer

from contracts.files import FILES, compatible, render

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def write() -> None:
    """Write the generated files. Refuses an incompatible change of a schema: that needs a new version, `.v2`."""
    for name, text in render().items():
        path = FILES / name
        if name.startswith("schemas/") and path.exists() and not compatible(path.read_text(), text):
            typer.echo(f"{name}: not compatible with the released schema; make a new version of the event", err=True)
            raise typer.Exit(1)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@app.command()
def check() -> None:
    """Fail when a generated file differs from what the models generate."""
    stale = [name for name, text in render().items() if not _same(name, text)]
    if stale:
        typer.echo(f"stale: {', '.join(stale)}; run `python -m contracts write`", err=True)
        raise typer.Exit(1)


def _same(name: str, text: str) -> bool:
    path = FILES / name
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    app()
