"""The commands of a service: its processes, as `kit.runtime.process` starts them, and what an operator runs."""

import typer

from kit.runtime.process import S, Service, run


def main(service: Service[S]) -> None:
    """Run a command of the service, or show them all."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

    @app.callback()
    def commands() -> None:  # otherwise typer would run a single command without its name
        pass

    @app.command(help="serve the public API")
    def api() -> None:
        run(service, "api")

    def worker() -> None:
        run(service, "worker")

    if service.has("worker"):
        app.command(help="run consumers and publisher")(worker)
    for name, command in service.commands().items():
        app.command(name)(command)
    app()
