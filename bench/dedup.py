"""The dedup index against the published loop and against plain rapidfuzz, on one core. One JSON line a size.

    python bench/dedup.py [--size N ...] [--texts FILE] [--quick]     decisions at ROUGE-L 0.7
    python bench/dedup.py --check [--size N] [--texts FILE]           every decision of a stream, compared
    python bench/dedup.py --lag                                       event-loop lag of a run with 200 answers a second

`vs_reference` extrapolates the published loop (rouge_score over the whole pool) from sampled pairs; `vs_cdist` compares with
`rapidfuzz.process.cdist` of sampled queries, 64 at once, over the whole pool, then the float expression in numpy. Both are timed
between slices of the index's own queries in the same process. Up to 200,000 texts all are checked in order as a stream; at a
million the pool is loaded by `add`, and 2,000 queries are timed. `identical` says that every sampled decision agrees with
cdist's, and that every sampled score equals rouge_score's to the last bit. `--check` compares all decisions: the index and cdist
take in the same stream side by side, and rouge_score itself judges 20,000 of them and every one with |F - 0.7| < 0.01.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import orjson
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist
from rouge_score.rouge_scorer import RougeScorer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import corpus
from engine.core.dedup import Index
from engine.core.score import f_measure
from engine.core.text import words

SIZES = (1_000, 10_000, 52_000, 200_000, 1_000_000)
STREAMED = 200_000
"""Up to this size the whole stream is checked in order; beyond it the pool is loaded and a sample is checked."""
SAMPLE = 2_000
THRESHOLD = 0.7


class Ours:
    def tokenize(self, text: str) -> list[str]:
        return words(text)


def measured(size: int, source: Iterator[str]) -> dict[str, object]:
    index = Index()
    times: list[float] = []
    pool: list[str] = []
    texts = list(islice(source, size + SAMPLE))
    began = time.perf_counter()
    for n, text in enumerate(texts[:size]):
        if size <= STREAMED:
            start = time.perf_counter()
            match = index.near(text, THRESHOLD)
            times.append(time.perf_counter() - start)
            if match is not None:
                continue
        index.add(str(n), text)
        pool.append(text)
    index.near(texts[0], THRESHOLD)  # enters what was added since the last question, as once after a journal was read
    whole = time.perf_counter() - began
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # of the index, and of all texts; not of what comes next
    compared = compare(index, pool, texts[size:])
    if size > STREAMED:
        times = compared["times"]
    times.sort()
    mean = sum(times) / len(times)
    # the pool grew from nothing to its size, so a whole stream of plain cdist costs half of what its last decisions do
    share = 0.5 if size <= STREAMED else 1.0
    return {
        "size": size,
        "accepted": len(pool),
        "decisions_per_s": round(len(times) / sum(times)),
        "us_median": round(times[len(times) // 2] * 1e6, 1),
        "us_p99": round(times[len(times) * 99 // 100] * 1e6, 1),
        "seconds": round(whole, 2),
        "rss_mb": round(rss),
        "candidates": compared["candidates"],
        "vs_reference": round(compared["pair_seconds"] * len(pool) * share / mean),
        "vs_cdist": round(compared["cdist_seconds"] * share / mean, 1),
        "vs_cdist_at_size": round(compared["cdist_seconds"] / compared["median"], 1),
        "identical": compared["identical"],
    }


def compare(index: Index, pool: list[str], queries: list[str]) -> dict[str, object]:
    """Times of the index, of plain cdist and of rouge_score's pairs, in turn, on the same queries and pool."""
    numbers: dict[str, int] = {}
    coded = [_coded(text, numbers) for text in pool]
    lengths = np.array([len(code) for code in coded], dtype=float)
    plain = queries if len(pool) <= 60_000 else queries[: max(64, 12_000_000 // len(pool))]
    times: list[float] = []
    seconds, identical, candidates = 0.0, True, 0
    for start in range(0, len(plain), 64):
        batch = plain[start : start + 64]
        matches = []
        for text in batch:
            began = time.perf_counter()
            matches.append(index.near(text, THRESHOLD))
            times.append(time.perf_counter() - began)
            candidates += len(index._candidates(index._known(words(text)), THRESHOLD))
        began = time.perf_counter()
        best = [float(row.max()) for row in _scores_by_cdist([_coded(text, numbers) for text in batch], coded, lengths)]
        seconds += time.perf_counter() - began
        identical &= [match.score if match else None for match in matches] == [s if s > THRESHOLD else None for s in best]
    for text in queries[len(plain) :]:
        began = time.perf_counter()
        index.near(text, THRESHOLD)
        times.append(time.perf_counter() - began)
    pair, same = _rouge(index, pool, queries)
    return {
        "times": times,
        "median": sorted(times)[len(times) // 2],
        "candidates": round(candidates / len(plain), 1),
        "cdist_seconds": seconds / len(plain),
        "pair_seconds": pair,
        "identical": bool(identical and same),
    }


def _coded(text: str, numbers: dict[str, int]) -> str:
    codes = (numbers.setdefault(word, len(numbers) + 1) for word in words(text))
    return "".join(chr(code if code < 0xD800 else code + 0x800) for code in codes)


def checked(size: int, source: Iterator[str]) -> dict[str, object]:
    """The index and plain cdist over one stream: are all decisions, matches and scores the same?"""
    index, numbers = Index(), {}
    pool: list[str] = []
    coded: list[str] = []
    different = 0
    nearest: list[tuple[str, str, float]] = []
    while batch := list(islice(source, min(64, size - len(nearest)))):
        codes = [_coded(text, numbers) for text in batch]
        lengths = np.array([len(code) for code in coded], dtype=float)
        rows = _scores_by_cdist(codes, coded, lengths) if coded else [np.zeros(0)] * len(batch)
        fresh: list[int] = []
        for text, code, row in zip(batch, codes, rows, strict=True):
            here = [f_measure(int(LCSseq.similarity(coded[n], code)), len(coded[n]), len(code)) for n in fresh]
            scores = np.concatenate([row, here])
            best = int(scores.argmax()) if len(scores) else -1
            score = float(scores[best]) if len(scores) else 0.0
            match = index.near(text, THRESHOLD)
            expected = (str(best), score) if score > THRESHOLD else None
            different += (tuple(match) if match else None) != expected
            if best >= 0:
                nearest.append((pool[best], text, score))
            else:
                nearest.append((text, text, 1.0))
            if expected is None:
                index.add(str(len(pool)), text)
                fresh.append(len(pool))
                pool.append(text)
                coded.append(code)
    return {"size": len(nearest), "accepted": len(pool), "different_from_cdist": different, **_judged(nearest)}


def _judged(nearest: list[tuple[str, str, float]]) -> dict[str, int]:
    """rouge_score's own word on a sample of the decisions, and on all that are close to the threshold."""
    scorer = RougeScorer(["rougeL"], tokenizer=Ours())
    sample = random.Random(0).sample(range(len(nearest)), min(20_000, len(nearest)))
    close = [n for n, (_, _, score) in enumerate(nearest) if abs(score - THRESHOLD) < 0.01]
    judged = {*sample, *close}
    wrong = sum(scorer.score(nearest[n][0], nearest[n][1])["rougeL"].fmeasure != nearest[n][2] for n in judged)
    return {"judged_by_rouge_score": len(judged), "of_them_close": len(close), "different_from_rouge_score": wrong}


def _scores_by_cdist(queries: list[str], pool: list[str], lengths: np.ndarray) -> list[np.ndarray]:
    lcs = cdist(queries, pool, scorer=LCSseq.similarity, dtype=np.int32)
    rows = []
    for row, query in zip(lcs, queries, strict=True):
        precision, recall = row / lengths, row / len(query)
        total = precision + recall
        rows.append(np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0))
    return rows


def _rouge(index: Index, pool: list[str], queries: list[str]) -> tuple[float, bool]:
    """Seconds a pair of rouge_score, and whether it gives the same scores as the index for the matches of some queries."""
    scorer, rng = RougeScorer(["rougeL"], tokenizer=Ours()), random.Random(0)
    same = True
    for text in queries[:300]:
        match = index.near(text, THRESHOLD)
        if match is not None and match.id.isdigit():
            same &= any(scorer.score(other, text)["rougeL"].fmeasure == match.score for other in _near_texts(pool, text))
    pairs = [(rng.choice(pool), rng.choice(queries)) for _ in range(1_000)]
    began = time.perf_counter()
    for one, other in pairs:
        scorer.score(one, other)
    return (time.perf_counter() - began) / len(pairs), same


def _near_texts(pool: list[str], text: str) -> list[str]:
    """The pool's texts that share at least half of a text's words: what its match must be among."""
    wanted = set(words(text))
    return [other for other in pool if len(wanted & set(other.split(" "))) >= len(wanted) / 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, action="append", help="sizes to measure; default 1K, 10K, 52K, 200K, 1M")
    parser.add_argument("--texts", type=Path, help="a file with one text a line, instead of the built-in corpus")
    parser.add_argument("--quick", action="store_true", help="1,000 and 10,000 only")
    parser.add_argument("--check", action="store_true", help="compare every decision instead of timing them")
    parser.add_argument("--lag", action="store_true", help="event-loop lag instead")
    chosen = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if chosen.lag:
        from bench.lag import lag

        print(orjson.dumps(lag(10 if chosen.quick else 30)).decode(), flush=True)
        return
    sizes = chosen.size or (SIZES[:2] if chosen.quick else (52_000,) if chosen.check else SIZES)
    if len(sizes) > 1:  # each in a process of its own: memory is measured, too
        for size in sizes:
            subprocess.run([sys.executable, __file__, "--size", str(size), *_passed_on(chosen)], check=True)
        return
    (size,) = sizes
    if chosen.texts is None:
        source = corpus.texts()
    else:
        lines = chosen.texts.read_text(encoding="utf-8").splitlines()
        size, source = min(size, max(1, len(lines) - SAMPLE)), iter(lines)
    print(orjson.dumps((checked if chosen.check else measured)(size, source)).decode(), flush=True)


def _passed_on(chosen: argparse.Namespace) -> list[str]:
    return (["--texts", str(chosen.texts)] if chosen.texts else []) + (["--check"] if chosen.check else [])


if __name__ == "__main__":
    main()
