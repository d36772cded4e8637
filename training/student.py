"""A quicker segmentation: PyanNet whose LSTM layers run at a fraction of its rate."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.pyannet import FRAMES, HIDDEN, POWERSET, PyanNet

FEATURES = 60
JOINED = 96
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class Student(PyanNet):
    """`input` [B, 1, 160000] to log-probabilities [B, 589, 7], the contract of PyanNet."""

    def __init__(self, rate: int = 3, layers: int = 4) -> None:
        super().__init__()
        self.rate, self.steps = rate, -(-FRAMES // rate)
        self.join = nn.Conv1d(FEATURES, JOINED, rate, stride=rate)
        self.lstm = nn.LSTM(JOINED, HIDDEN, layers, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(128, rate * len(POWERSET))

    def decode(self, features: Tensor) -> Tensor:
        """Log-probabilities [B, 589, 7] from the convolutions' features [B, 589, 60]; a step answers for its frames."""
        return self.answers(self.lstm(self.joined(features))[0])

    def joined(self, features: Tensor) -> Tensor:
        """What the LSTM reads, [B, steps, 96]."""
        x = functional.pad(features.transpose(1, 2), (0, self.rate * self.steps - FRAMES))
        return self.join(x).transpose(1, 2)

    def answers(self, hidden: Tensor) -> Tensor:
        """Log-probabilities [B, 589, 7] from what the last LSTM layer says, [B, steps, 256]."""
        x = hidden
        for layer in self.linear:
            x = functional.leaky_relu(layer(x), 0.01)
        x = self.classifier(x).reshape(len(x), self.rate * self.steps, len(POWERSET))
        return functional.log_softmax(x[:, :FRAMES], dim=-1)

    def forward(self, samples: Tensor) -> Tensor:
        return self.decode(self.encode(samples))


def layer_outputs(lstm: nn.LSTM, x: Tensor) -> list[Tensor]:
    """Outputs [B, T, 256] of every layer of a bidirectional LSTM."""
    found = []
    for layer in range(lstm.num_layers):
        names = [f"{kind}_l{layer}{side}" for side in ("", "_reverse") for kind in PARTS]
        state = x.new_zeros(2, len(x), lstm.hidden_size)
        weights = [getattr(lstm, name) for name in names]
        x, _, _ = torch.lstm(x, (state, state), weights, True, 1, 0.0, lstm.training, True, True)
        found.append(x)
    return found


def start_from(student: Student, pyannet: PyanNet) -> None:
    """PyanNet's weights. A step is the mean of its frames and some mixtures of them, which the LSTM does not read yet;
    the gates go half-way to what so many old steps did."""
    theirs = pyannet.state_dict()
    state = {k: v.clone() for k, v in student.state_dict().items()}
    shift = 0.5 * math.log(student.rate)
    for name in state:
        if name.startswith("lstm.weight_ih_l0"):
            state[name].zero_()[:, :FEATURES] = theirs[name]
        elif name in theirs and state[name].shape == theirs[name].shape:
            state[name] = theirs[name].clone()
        if name.startswith("lstm.bias_ih"):
            state[name][:HIDDEN] += shift
            state[name][HIDDEN : 2 * HIDDEN] -= shift
    state["join.weight"][:FEATURES] = (torch.eye(FEATURES)[..., None] / student.rate).repeat(1, 1, student.rate)
    state["join.bias"].zero_()
    state["classifier.weight"] = theirs["classifier.weight"].repeat(student.rate, 1)
    state["classifier.bias"] = theirs["classifier.bias"].repeat(student.rate)
    student.load_state_dict(state)


def student_of(state: dict[str, Tensor]) -> Student:
    """A trained student; its shape is read off its weights."""
    recurrent = [name for name in state if name.startswith("lstm.weight_hh") and not name.endswith("reverse")]
    student = Student(len(state["classifier.bias"]) // len(POWERSET), len(recurrent))
    student.load_state_dict(state)
    return student.eval()


def load_student(path: Path) -> Student:
    """A student from the checkpoint of `training.distil`."""
    return student_of(torch.load(path, weights_only=True))
