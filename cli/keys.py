"""`heliograph distil` and `heliograph keys`: from runs to key in the stores, and what is in them."""

from __future__ import annotations

import re
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import ConfigError
from .bench import TellOption
from .output import Bar, JsonOption, command

if TYPE_CHECKING:
    from ..control.parties.telling import KeyTelling
    from ..postprocess.keystore.ledger import LinkLedger

app = typer.Typer(no_args_is_help=True, help="Key stores.")

StoreOption = Annotated[Path, typer.Option("--store", metavar="DIR", help="Folder of the key stores.")]


def distil(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run file of `heliograph acquire key`.")],
    store: StoreOption,
    bound: Annotated[str, typer.Option(help="Concentration bound: kato, whose parameters come from the station's expectation, or azuma.")] = "kato",
    tell: TellOption = None,
    json_output: JsonOption = False,
) -> None:
    """Make key of a run and lay it into the stores of its pair."""
    with command(json_output) as out:
        from ..acquisition.runs import Run
        from ..control.parties.accounting import disclosed_rows, epsilon_rows
        from ..control.parties.node import network, pair_of
        from ..control.parties.telling import KeyTelling, telling
        from ..control.resources import peak_rss_bytes

        begun = time.monotonic()

        if bound not in ("kato", "azuma"):
            raise typer.BadParameter(f"{bound!r} is neither kato nor azuma", param_hint="--bound")
        with Run.open(run) as opened:
            users = pair_of(opened, store).split("-")
        if not all((store / user).is_dir() for user in users):
            remedy = "Give the --store of `heliograph acquire key`, where the patterns lie."
            raise ConfigError(f"parties {' and '.join(users)} keep nothing here", where=str(store), remedy=remedy)
        with Run.open(run) as opened, telling(tell, out.warn) as teller, out.progress("Distilling") as bar:
            story = KeyTelling(teller, opened)
            with story.telling_failure(), network(store, users) as keys:
                made = keys.distil(opened, bound="kato" if bound == "kato" else "azuma", progress=partial(_show, bar, story))
                teller.stores(store, keys.parties)
            story.done(made)
            bar.to(100.0)
        used = {"wall_seconds": time.monotonic() - begun, "peak_rss_bytes": peak_rss_bytes()}
        rows = [
            ("error rate X", f"{made.qber_x:.3%}"),
            ("error rate Y", f"{made.qber_y:.3%}"),
            ("sifted bits", made.sifted_bits),
            ("leaked bits", made.leak_bits),
            ("f of error correction", f"{made.f_ec:.4f}" if made.f_ec else "-"),
            ("key bits", made.key_bits),
            ("rate (bit/s)", f"{made.key_rate_bps:,.0f}"),
            (f"rate at the published f of {made.paper_f} (bit/s)", f"{made.key_rate_bps_at_paper_leak:,.0f}"),
            ("time taken (s)", f"{used['wall_seconds']:.1f}"),
            ("most memory (MB)", f"{used['peak_rss_bytes'] / 1e6:,.0f}"),
        ]
        out.table(f"Pair {made.pair}, key block {made.block}", ["quantity", "value"], rows)
        out.table("Said in public (bits)", *disclosed_rows(made.disclosed))
        out.table("Probability that a claim fails", *epsilon_rows(made.epsilons))
        simulated = made.statement.provenance.simulated
        out.result({**made.as_dict(), **used, "secure": not simulated}, simulated=simulated, security=made.statement)


def _show(bar: Bar, story: KeyTelling, what: str, percent: float) -> None:
    story.at(what, percent)
    bar.say(what)
    bar.to(percent)


def _summed(books: list[LinkLedger]) -> list[tuple[str, str, str, int, int]]:
    """Return what each party spent, the rounds of one learning run in one row: party, pair, purpose, bits, keys. The JSON result has every round."""
    sums: dict[tuple[str, str, str], tuple[int, int]] = {}
    for book in books:
        for item in book.spendings:
            place = (book.party, book.pair, re.sub(r" round \d+", "", item.purpose))
            bits, keys = sums.get(place, (0, 0))
            sums[place] = bits + item.bits, keys + item.keys
    return [(*place, *spent) for place, spent in sums.items()]


@app.command("show")
def show(store: StoreOption, json_output: JsonOption = False) -> None:
    """Show what the stores hold, and who spent which bits on what. No key bit is shown, and nothing in the stores changes."""
    with command(json_output) as out:
        from ..control.parties.accounting import account_rows, read_accounts
        from ..postprocess.keystore.ledger import read_ledgers

        books = read_ledgers(store)
        if not books:
            raise ConfigError("there are no key stores", where=str(store), remedy="Run `heliograph demo`, or `heliograph acquire key` and `heliograph distil`.")
        counts = ("party", "pair", "blocks", "delivered", "spendable", "consumed", "authentication", "burned")
        rows = [(*(getattr(book, name) for name in counts), f"{book.epsilon:.1e}", book.provenance) for book in books]
        heads = ["party", "pair", "blocks", "delivered", "spendable", "spent", "tags", "burned", "epsilon", "provenance"]
        out.table("Key stores (bits)", heads, rows)
        out.say("Spendable: by this party, towards its peer. The rest of what was delivered serves the other direction, or tags, or is not confirmed yet.")
        if spent := _summed(books):
            out.table("Spent on", ["party", "pair", "purpose", "bits", "keys"], spent)
        if accounts := read_accounts(store):
            out.table("Said in public while the key was made (bits)", *account_rows(accounts))
        for line in sorted({f"Key-encryption key: {book.kek}. Rollback guard: {book.guard}." for book in books}):
            out.say(line)
        damaged = [f"{book.party}/{book.pair}" for book in books if not book.audit_ok]
        if damaged:
            out.warn(f"the audit chain is broken: {', '.join(damaged)}")
        out.result(
            {"store": store, "stores": [book.as_dict() for book in books], "accounts": [account.as_dict() for account in accounts]},
            simulated=any(book.provenance != "real" for book in books),
            exit_code=1 if damaged else 0,
        )
