"""The net: two small trunks (tight face, wide context), one logit, and a logit per patch.

Depthwise-separable with ReLU only: onnxruntime fuses BatchNorm and ReLU into the convolutions and has fast
kernels for all of it, where PReLU and hard-swish are several times slower at this size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

TEACHERS = 3


@dataclass(slots=True)
class Output:
    """What the net says in training.

    Attributes:
        logit: (N,), positive is live: the mean of `label_logit` and of the guessed teachers' mean.
        label_logit: (N,), what the labels alone teach.
        tight_logit, context_logit: (N,), what each branch says alone.
        patches: (N, 2, 6, 6) logits, tight then context.
        teachers: (N, 3), guesses of the teachers' logits.
        spectrum: (N, 1, 12, 12), guess of the tight crop's log spectrum; None outside training.
    """

    logit: Tensor
    label_logit: Tensor
    tight_logit: Tensor
    context_logit: Tensor
    patches: Tensor
    teachers: Tensor
    spectrum: Tensor | None


class Separable(nn.Module):
    """Depthwise 3x3, pointwise 1x1, each with BatchNorm; residual where the shapes allow."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(c_in, c_in, 3, stride, 1, groups=c_in, bias=False),
            nn.BatchNorm2d(c_in),
            nn.ReLU(inplace=True),
            nn.Conv2d(c_in, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out),
        )
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, S, S) to (N, c_out, S / stride, S / stride)."""
        y = self.body(x)
        return torch.relu(x + y if self.residual else y)


class Trunk(nn.Module):
    """Image (N, 3, S, S) in BGR 0..255 to features (N, C, S/16, S/16), and those at S/8."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        w0, w1, w2, w3 = widths
        self.stem = nn.Sequential(
            nn.Conv2d(3, w0, 3, 2, 1, bias=False),
            nn.BatchNorm2d(w0),
            nn.ReLU(inplace=True),
        )
        self.early = nn.Sequential(Separable(w0, w1, 2), Separable(w1, w1), Separable(w1, w1))
        self.mid = nn.Sequential(Separable(w1, w2, 2), *(Separable(w2, w2) for _ in range(3)))
        self.late = nn.Sequential(Separable(w2, w3, 2), Separable(w3, w3), Separable(w3, w3))

    def low(self, x: Tensor) -> Tensor:
        """Pixels to features (N, w1, S/4, S/4)."""
        out: Tensor = self.early(self.stem((x - 127.5) * (1 / 64.0)))
        return out

    def high(self, low: Tensor) -> tuple[Tensor, Tensor]:
        """Features of `low` to those at S/16 and at S/8."""
        mid = self.mid(low)
        return self.late(mid), mid


class PadNet(nn.Module):
    """Presentation-attack net over two crops of one face.

    Args:
        widths: channels of the four stages of both trunks.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (24, 48, 128, 256)) -> None:
        super().__init__()
        self.tight, self.context = Trunk(widths), Trunk(widths)
        w2, w3 = widths[2], widths[3]
        self.patch_tight, self.patch_context = nn.Conv2d(w3, 1, 1), nn.Conv2d(w3, 1, 1)
        self.label = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(2 * w3, 64), nn.ReLU(inplace=True), nn.Linear(64, 1)
        )
        self.teachers = nn.Sequential(nn.Linear(2 * w3, 128), nn.ReLU(inplace=True), nn.Linear(128, TEACHERS))
        self.fourier = nn.Sequential(nn.Conv2d(w2, 32, 1), nn.ReLU(inplace=True), nn.Conv2d(32, 1, 1))

    def forward(self, tight: Tensor, context: Tensor) -> Output:
        """Judge n faces, each crop (N, 3, 96, 96) BGR 0..255."""
        return self.judge(self.tight.low(tight), self.context.low(context))

    def judge(self, tight: Tensor, context: Tensor) -> Output:
        """The rest of `forward`, from the low features of both crops."""
        far_t, mid_t = self.tight.high(tight)
        far_c, _ = self.context.high(context)
        map_t, map_c = self.patch_tight(far_t), self.patch_context(far_c)
        logit_t, logit_c = map_t.mean((1, 2, 3)), map_c.mean((1, 2, 3))
        both = torch.cat([far_t.mean((2, 3)), far_c.mean((2, 3))], 1)
        label = self.label(both)[:, 0] + 0.5 * (logit_t + logit_c)
        teachers = self.teachers(both)
        logit = 0.5 * (label + teachers.mean(1))
        spectrum = self.fourier(mid_t) if self.training else None
        patches = torch.cat([map_t, map_c], 1)
        return Output(logit, label, logit_t, logit_c, patches, teachers, spectrum)


def log_spectrum(tight: Tensor) -> Tensor:
    """Log magnitude of the grey crop's 2-D spectrum, centred, each picture to zero mean and unit deviation.

    Args:
        tight: (N, 3, 96, 96) BGR 0..255.

    Returns:
        (N, 1, 12, 12).
    """
    grey = tight.mean(1)
    grey = grey - grey.mean((1, 2), keepdim=True)
    window = torch.hann_window(grey.shape[-1], periodic=False)
    spectrum = torch.fft.fftshift(torch.fft.fft2(grey * window[:, None] * window[None]), dim=(1, 2))
    out = nn.functional.adaptive_avg_pool2d(torch.log1p(spectrum.abs())[:, None], 12)
    return (out - out.mean((2, 3), keepdim=True)) / (out.std((2, 3), keepdim=True) + 1e-4)
