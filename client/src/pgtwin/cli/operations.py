import sys

from pgtwin.cli.output import Form, has_colours, show_many, show_one
from pgtwin.cli.session import FAILED, USAGE, Refused, client
from pgtwin.models import Operation

COLUMNS = ("operation_id", "kind", "state", "step", "done", "total", "database_id", "create_at")


def list_all(state: str | None, form: Form) -> None:
    with client() as service:
        show_many(form, service.list_operations(state=state), COLUMNS)


def watch(operation: str, form: Form) -> None:
    """
    Raises:
        Refused: the operation has failed.
    """
    if not operation.isdecimal():
        raise Refused("give the operation's id", USAGE)
    with client() as service:
        if has_colours() and form is Form.TABLE:
            from rich.progress import Progress

            with Progress(transient=True) as bar:
                task = bar.add_task("waiting", total=None)

                def shown(now: Operation) -> None:
                    bar.update(
                        task,
                        description=f"{now.kind} {now.step}",
                        completed=now.done,
                        total=now.total or None,
                    )

                ended = service.wait_for_operation(int(operation), progress=shown)
        else:
            ended = service.wait_for_operation(int(operation))
    show_one(form, ended, [*COLUMNS, "finished_at"])
    sys.stdout.flush()
    if ended.state != "finished":
        why = (ended.error or {}).get("message", ended.state)
        raise Refused(f"the operation {ended.state}: {why}", FAILED)
