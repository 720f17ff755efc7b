"""Chapter "Make two senses agree"."""

from __future__ import annotations

import torch
from torch import Tensor

from lsfa_lite.exercises.checking import Exercise


def joint_gradient(logits: Tensor) -> Tensor:
    """d/d logits of the mean of Eq. 2 over j: (N, N) -> (N, N)."""
    probability = logits.flatten().softmax(0).view_as(logits)
    return probability - torch.eye(len(logits)) / len(logits)


def of_the_rows(logits: Tensor) -> Tensor:
    n = len(logits)
    return (logits.softmax(1) - torch.eye(n)) / n


def summed(logits: Tensor) -> Tensor:
    return len(logits) * joint_gradient(logits)


def without_mean(logits: Tensor) -> Tensor:
    return logits.flatten().softmax(0).view_as(logits) - torch.eye(len(logits))


def row_without_twins(logits: Tensor, twins: Tensor) -> Tensor:
    """InfoNCE whose denominator leaves out twins: (N, N), (N, N) bool -> scalar."""
    out = twins & ~torch.eye(len(logits), dtype=torch.bool)
    denominator = logits.masked_fill(out, -torch.inf).logsumexp(1)  # (N,)
    return (denominator - logits.diagonal()).mean()


def partner_left_out(logits: Tensor, twins: Tensor) -> Tensor:
    hidden = torch.finfo(logits.dtype).min
    denominator = logits.masked_fill(twins, hidden).logsumexp(1)
    return (denominator - logits.diagonal()).mean()


def zeros_left_in(logits: Tensor, twins: Tensor) -> Tensor:
    out = twins & ~torch.eye(len(logits), dtype=torch.bool)
    return (logits.masked_fill(out, 0.0).logsumexp(1) - logits.diagonal()).mean()


def only_twins(logits: Tensor, twins: Tensor) -> Tensor:
    keep = twins | torch.eye(len(logits), dtype=torch.bool)
    denominator = logits.masked_fill(~keep, -torch.inf).logsumexp(1)
    return (denominator - logits.diagonal()).mean()


def columns(logits: Tensor, twins: Tensor) -> Tensor:
    return row_without_twins(logits.T, twins.T)


def draw(n: int, scale: float, seed: int) -> Tensor:
    return scale * torch.randn(n, n, generator=torch.Generator().manual_seed(seed))


def groups(*sizes: int) -> Tensor:
    """(N, N) bool: patches of one group are twins; each is its own twin."""
    label = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return label[:, None] == label


EXERCISES = {
    "joint_gradient": Exercise(
        cases=(
            (torch.tensor([[16.0, 2, 2], [2, 4, 2], [1, 1, 2]]).log(),),
            (draw(5, 2.0, 0),),
            (draw(4, 300.0, 1),),  # exp would overflow
        ),
        solution=joint_gradient,
        mistakes={
            "this is the gradient of the row form. Eq. 2 has one softmax over all N * N pairs.": (
                of_the_rows
            ),
            "the sign is turned: descent goes against the gradient.": lambda s: -joint_gradient(s),
            "the diagonal loses 1 instead of 1 / N: the loss is a mean over j.": without_mean,
            "this is N times too large. The loss is the mean over j, not the sum.": summed,
            "the diagonal is missing: what pulls the pairs together?": lambda s: (
                s.flatten().softmax(0).view_as(s)
            ),
        },
    ),
    "row_without_twins": Exercise(
        cases=(
            (draw(6, 1.0, 2), groups(3, 2, 1)),
            (draw(5, 30.0, 3), groups(2, 2, 1)),
            (draw(4, 1.0, 4), torch.eye(4, dtype=torch.bool)),
        ),
        solution=row_without_twins,
        mistakes={
            "a patch is its own twin, and you left the partner out of the denominator too.": (
                partner_left_out
            ),
            "a twin set to 0 still adds exp(0) = 1. Set it to -inf, then logsumexp.": zeros_left_in,
            "you kept the twins and left out the strangers. Turn the mask.": only_twins,
            "you summed over columns: row j is patch j of the picture.": columns,
            "nothing was left out: this is the plain row form.": lambda s, twins: (
                s.logsumexp(1) - s.diagonal()
            ).mean(),
        },
    ),
}
