"""`python -m deploy.local COMMAND`: what the Makefile calls."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import pyotp
import typer

from deploy.local import demo as demo_play
from deploy.local import lifecycle, sandbox
from deploy.local.lifecycle import StackError, console
from deploy.local.secrets import secrets_of
from deploy.local.stack import Stack
from deploy.local.stackfile import description
from deploy.local.status import print_addresses, print_status
from deploy.local.throwaway import run_with_stack, signals_as_exit

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Name = Annotated[str, typer.Option("--name", help="Which copy of the stack: dev, test, bench, or any other name.")]
Data = Annotated[Path | None, typer.Option("--data", help="Its data folder, if not the default one.")]


def _stack(name: str, data: Path | None = None) -> Stack:
    """Return the stack. The commands of a cluster run once more, inside its sandbox, and end here."""
    stack = Stack.named(name, data)
    if stack.layout.cluster and not sandbox.is_inside():
        raise typer.Exit(sandbox.enter(stack, sandbox.this_command()))
    return stack


@contextmanager
def _leaving_sandbox(name: str, data: Path | None) -> Iterator[None]:
    """End the sandbox of a cluster after its programs."""
    try:
        yield
    finally:
        if not sandbox.is_inside():
            sandbox.leave(Stack.named(name, data))


@app.command()
def up(name: Name = "dev", data: Data = None) -> None:
    """Start the stack, wait until it is ready, load the demo data."""
    stack = _stack(name, data)
    lifecycle.up(stack)
    print_addresses(stack)


@app.command()
def down(name: Name = "dev", data: Data = None) -> None:
    """Stop the stack; its data stay."""
    with _leaving_sandbox(name, data):
        lifecycle.down(_stack(name, data))


@app.command()
def reset(name: Name = "dev", data: Data = None) -> None:
    """Stop the stack and delete its data."""
    with _leaving_sandbox(name, data):
        lifecycle.reset(_stack(name, data))


@app.command()
def restart(service: Annotated[str | None, typer.Argument()] = None, name: Name = "dev", data: Data = None) -> None:
    """Restart the processes of one service, or of all."""
    lifecycle.restart(_stack(name, data), service)


@app.command()
def status(name: Name = "dev", data: Data = None) -> None:
    """Show every program, its ports and whether it is ready."""
    if not print_status(_stack(name, data)):
        raise typer.Exit(1)


@app.command()
def logs(program: Annotated[str | None, typer.Argument()] = None, name: Name = "dev", data: Data = None) -> None:
    """Follow the logs of a service or server, or of all."""
    stack = Stack.named(name, data)
    files = sorted(str(path) for path in stack.logs.glob(f"{program or ''}*.log"))
    if not files:
        raise StackError(f"no log of {program or 'anything'} in {stack.logs}")
    os.execvp("tail", ["tail", "-n", "40", "-F", *files])


@app.command()
def demo(name: Name = "dev", data: Data = None) -> None:
    """Play the main journey through the public API and a Kafka subscriber."""
    stack = _stack(name, data)
    if not stack.stackfile.exists():
        raise StackError("the stack is not up: run `make up` first")
    if not asyncio.run(demo_play.play(description(stack, secrets_of(stack)))):
        raise typer.Exit(1)


@app.command()
def totp(who: Annotated[str, typer.Argument(help="clerk, operator or admin")], name: Name = "dev") -> None:
    """Print the current TOTP code of a demo member of staff; each works once."""
    logins = secrets_of(Stack.named(name)).model_dump(include={"clerk", "operator", "admin"})
    if who not in logins:
        raise StackError(f"there is no {who}: clerk, operator or admin")
    print(pyotp.TOTP(logins[who]["totp_secret"]).now())


@app.command()
def environment(
    program: Annotated[str, typer.Argument(help="Like dead-letters, or records-api.")], name: Name = "dev"
) -> None:
    """Print the settings of a process or tool as shell commands, for `eval`."""
    path = Stack.named(name).environments / f"{program}.json"
    if not path.exists():
        raise StackError(f"there are no settings of {program} in {path.parent}")
    print("\n".join(f"export {key}={shlex.quote(value)}" for key, value in json.loads(path.read_text()).items()))


@app.command("run-with-stack")
def with_stack(
    command: Annotated[list[str], typer.Argument(help="The command and its arguments, after `--`.")],
    name: Name = "test",
    keep: Annotated[bool, typer.Option("--keep", envvar="KEEP_STACK", help="Keep the stack after a failure.")] = False,
) -> None:
    """Run a command with its own copy of the stack, whose stack.json is in STACK_FILE."""
    stack = Stack.named(name)
    if stack.layout.cluster and not sandbox.is_inside():
        with signals_as_exit():
            raise typer.Exit(sandbox.run(stack, sandbox.this_command()))
    raise typer.Exit(run_with_stack(stack, command, keep=keep))


def main() -> None:
    try:
        app()
    except (StackError, TimeoutError, RuntimeError, subprocess.CalledProcessError) as error:
        console.print(f"error: {error}", style="red", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
