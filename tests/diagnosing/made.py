"""Diagnoses of given figures."""

import math

from fpdm.diagnosing import Curve, Diagnosis, Extent, Finding

SOLVERS, INITS = ("naive", "anderson"), ("features", "reuse")


def curve(solver="naive", init="features", *, factor=0.5, start=1.0, tol=1e-3, evals=8):
    """A curve that falls by a factor at each evaluation."""
    fall = tuple(start * factor**k for k in range(evals))
    there = [k for k, residual in enumerate(fall, 1) if residual <= tol * 1.001]
    return Curve(
        solver, init, fall, fall, fall, float(bool(there)), there[0] if there else math.inf
    )


def finding(index=0, *, radius=0.5, norm=0.9, worst=None, effect=0.1, curves=None, **options):
    return Finding(
        index=index,
        timestep=options.get("timestep", 900.0 - 100 * index),
        iterations=options.get("iterations", 2),
        radius=Extent(radius, radius if worst is None else worst),
        norm=Extent(norm, norm),
        distance=options.get("distance", 0.1 if index else None),
        effect=effect,
        curves=tuple(curve(s, i) for s in SOLVERS for i in INITS) if curves is None else curves,
    )


def diagnosis(*findings, **options):
    given = {
        "network": "FPDiT",
        "solver": "anderson",
        "init": "reuse",
        "allocation": "constant",
        "dtype": "float32",
        "budget": 60,
        "steps": len(findings),
        "num": 4,
        "guided": False,
        "real": False,
        "seed": 0,
        "evals": 8,
        "tol": 1e-3,
        "spread": 1.0,
    }
    return Diagnosis(**given | options, findings=tuple(findings))
