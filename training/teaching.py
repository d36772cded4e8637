"""What exists in training only: class centres, the regression onto the teacher, and the losses."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SCALE = 30.0
"""Factor of the cosines in AAM-softmax."""
SAME = 0.1
"""How much pairs of one voice, which are few, count in the cosine matrix beside all pairs."""

APART = 0.3
"""Deviation, in units of the centres' own, by which the further sub-centres of a placed voice begin apart from it."""


def ridge(x: Tensor, y: Tensor) -> Tensor:
    """Regularised least squares: the matrix [A, B] that takes x [N, A] to y [N, B]."""
    gram = x.T @ x
    return torch.linalg.solve(gram + 1e-2 * gram.diagonal().mean() * torch.eye(len(gram)), x.T @ y)


class Teaching(nn.Module):
    """What is used in training only: class centres and the regression onto the teacher."""

    teacher_mean: Tensor
    back: Tensor
    """The teacher's centred vectors to embeddings [256, D]: where the centres of new voices begin; zero if unknown."""

    def __init__(self, classes: int, dimension: int, teacher_mean: Tensor, subcentres: int = 1) -> None:
        super().__init__()
        self.subcentres = subcentres
        self.centres = nn.Parameter(torch.randn(classes * subcentres, dimension))
        """[classes * subcentres, D]; those of a class follow each other (sub-centre ArcFace, Deng et al. 2020)."""
        self.regression = nn.Linear(dimension, teacher_mean.shape[0])
        self.register_buffer("teacher_mean", teacher_mean)
        self.register_buffer("back", torch.zeros(teacher_mean.shape[0], dimension))

    @torch.no_grad()
    def fit(self, embeddings: Tensor, targets: Tensor) -> None:
        """Begin with the best linear maps between embeddings [N, D] and the teacher's vectors [N, 256]."""
        centred = functional.normalize(targets - self.teacher_mean)
        ones = torch.cat([functional.normalize(embeddings) * 10, torch.ones(len(embeddings), 1)], 1)
        scale = (embeddings.norm(dim=1).mean() / 10).item()
        solved = ridge(ones, centred)
        self.regression.weight.copy_(solved[:-1].T / scale)
        self.regression.bias.copy_(solved[-1])
        self.back.copy_(ridge(centred, functional.normalize(embeddings)))

    @torch.no_grad()
    def place(self, classes: Tensor, targets: Tensor) -> None:
        """Centres of new classes from the teacher's vectors of their voices."""
        if bool(self.back.any()):
            where = functional.normalize(targets - self.teacher_mean) @ self.back
            placed = functional.normalize(where) * self.centres.shape[1] ** 0.5
            self.centres[classes * self.subcentres] = placed
            for other in range(1, self.subcentres):
                self.centres[classes * self.subcentres + other] = placed + APART * torch.randn_like(placed)

    def forward(
        self, embedding: Tensor, classes: Tensor, targets: Tensor, margin: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """AAM-softmax loss, 1 - cosine to the centred teacher, and the cosine matrices' squared error."""
        unit = functional.normalize(embedding)
        known = classes >= 0
        cosine = unit[known] @ functional.normalize(self.centres).T
        if self.subcentres > 1:
            cosine = cosine.unflatten(1, (-1, self.subcentres)).amax(2)
        labels = classes[known]
        own = cosine.gather(1, labels[:, None])
        shifted = own * math.cos(margin) - (1 - own.square()).clamp(min=1e-6).sqrt() * math.sin(margin)
        logits = cosine.scatter(1, labels[:, None], torch.where(own > -math.cos(margin), shifted, own - margin))
        aam = functional.cross_entropy(SCALE * logits, labels)
        centred = functional.normalize(targets - self.teacher_mean)
        distance = (1 - functional.cosine_similarity(self.regression(embedding), centred)).mean()
        gap = (unit @ unit.T - centred @ centred.T).square()
        same = (classes[:, None] == classes[None]) & known[:, None] & ~torch.eye(len(classes), dtype=torch.bool)
        relation = gap.mean() + SAME * gap[same].sum() / same.sum().clamp(min=1)
        return aam, distance, relation
