"""Links between headlines and instruments: precision and recall on a set written for it, and each rule's evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.news.linking import InstrumentDictionary, Rule, dictionary_of, link

GOLDEN = Path(__file__).parents[3] / "fixtures" / "news" / "golden_links.tsv"
UNIVERSE = """
    AAPL MSFT GOOGL AMZN META TSLA NVDA NFLX AMD INTC IBM ORCL SNAP ZM SQ UBER NOW PLTR COIN F GM T V C X BA GE
    CAT TGT GPS BBY WMT COST NKE SBUX MCD KO PEP DIS CMCSA BRK.B CCL DAL UAL LUV XOM CVX OXY SHEL JPM BAC WFC GS
    JNJ PFE LLY MRNA ALL GME AMC SPY SAN.MC BBVA.MC TEF.MC ITX.MC REP.MC VOD.L 7203.T SIE.DE SPX EURUSD GBPUSD
    USDJPY XAUUSD BTCUSD ETHUSD SOLUSD ADAUSD LINKUSD DOTUSD XRPUSD DOGEUSD
""".split()


@pytest.fixture(scope="module")
def dictionary() -> InstrumentDictionary:
    return dictionary_of([guess_instrument(symbol, "file") for symbol in UNIVERSE])


def golden() -> list[tuple[str, set[str]]]:
    lines = [line for line in GOLDEN.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [(text, set(symbols.split())) for text, _, symbols in (line.partition("\t") for line in lines)]


def test_precision_and_recall(dictionary: InstrumentDictionary, capsys: pytest.CaptureFixture[str]):
    right = wrong = missed = 0
    report = []
    cases = golden()
    for text, wanted in cases:
        found = {one.symbol for one in link(text, dictionary)}
        right, wrong, missed = right + len(found & wanted), wrong + len(found - wanted), missed + len(wanted - found)
        if found != wanted:
            report.append(f"  {text!r}: found {sorted(found)}, expected {sorted(wanted)}")
    precision, recall = right / (right + wrong), right / (right + missed)
    with capsys.disabled():
        print(  # noqa: T201 - the measured figures
            f"\n{len(cases)} headlines: precision {precision:.3f}, recall {recall:.3f}", *report, sep="\n"
        )
    assert len(cases) >= 200
    assert precision >= 0.98
    assert recall >= 0.9


def test_each_link_has_its_evidence(dictionary: InstrumentDictionary):
    text = "Carnival (NYSE: CCL), $AAPL and Nvidia rise; EUR/USD flat, MSFT next"
    found = [(one.symbol, one.rule, one.evidence) for one in link(text, dictionary)]
    assert found == [
        ("CCL", Rule.EXCHANGE, "CCL"),
        ("AAPL", Rule.CASHTAG, "$AAPL"),
        ("NVDA", Rule.NAME, "Nvidia"),
        ("EURUSD", Rule.TICKER, "EUR/USD"),
        ("MSFT", Rule.TICKER, "MSFT"),
    ]
    assert all(text[one.position :].startswith(one.evidence) for one in link(text, dictionary))


def test_the_strongest_rule_counts_and_each_symbol_once(dictionary: InstrumentDictionary):
    (one,) = link("Apple rises: AAPL up, $AAPL trends (NASDAQ: AAPL)", dictionary)
    assert one.rule is Rule.EXCHANGE


def test_a_user_s_own_names():
    universe = [guess_instrument(symbol, "file") for symbol in ("ZZZ", "AAPL")]
    plain, own = dictionary_of(universe), dictionary_of(universe, {"ZZZ": ["Zeta Zinc", "Zinco"], "GONE": ["Gone"]})
    assert link("Zeta Zinc opens a mine", plain) == []
    assert [one.symbol for one in link("Zeta Zinc opens a mine; Zinco, too, and Gone", own)] == ["ZZZ"]
    assert plain.version != own.version


def test_what_is_in_no_universe_is_not_linked():
    nothing = dictionary_of([])
    assert link("Apple (NASDAQ: AAPL) $MSFT EUR/USD BTC", nothing) == []
    assert link("", nothing) == []


def test_a_pair_is_no_link_to_its_sides():
    pairs = dictionary_of([guess_instrument(symbol, "kraken") for symbol in ("BTCUSD", "BTCEUR", "ETHBTC", "DOGEUSDT")])
    assert [one.symbol for one in link("ETH/BTC at a low", pairs)] == ["ETHBTC"]
    assert [one.symbol for one in link("BTC/EUR and DOGEUSDT", pairs)] == ["BTCEUR", "DOGEUSDT"]
    assert {one.symbol for one in link("bitcoin rises", pairs)} == {"BTCUSD", "BTCEUR"}


@pytest.mark.parametrize(
    "text", ["$" * 50_000, "(NYSE: " * 10_000, "A " * 50_000, "Apple, " * 10_000, "NYSE: A," * 5_000]
)
def test_the_cost_grows_with_the_text_and_no_more(dictionary: InstrumentDictionary, text: str):
    link(text[:10_000], dictionary)
