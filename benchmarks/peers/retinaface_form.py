"""Write an ONNX of the form of uniface's default detector with numbers drawn at random.

    TORCH_PYTHON benchmarks/peers/retinaface_form.py OUT.onnx

For its time alone, where the trained file can't be had: it finds nothing (the face logits are held far below
the other ones), so there are no overlaps to suppress, which is in the peer's favour. Form: MobileNetV2 1.0
without its classifier (Sandler et al., 2018), maps after blocks 6, 13, 18 (32, 96, 1280 channels; strides
8, 16, 32); RetinaFace (Deng et al., 2020): pyramid and context modules of 128 channels, heads with 2 anchors
a cell; outputs boxes, softmax of the classes, landmarks. 3.13 million parameters, where uniface names 3.2.
"""

from __future__ import annotations

import sys

import torch
from torch import nn
from torch.nn import functional


def conv(i, o, k=3, stride=1, groups=1, act=None):
    """Convolution, BatchNorm and perhaps an activation."""
    layers = [nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, *([act] if act else []))


class Block(nn.Module):
    """Inverted residual of MobileNetV2."""

    def __init__(self, i, o, stride, grow):
        super().__init__()
        wide = i * grow
        first = [conv(i, wide, 1, act=nn.ReLU6())] if grow > 1 else []
        self.body = nn.Sequential(*first, conv(wide, wide, 3, stride, wide, nn.ReLU6()), conv(wide, o, 1))
        self.skip = stride == 1 and i == o

    def forward(self, x):
        """(1, i, H, W) to (1, o, H / stride, W / stride)."""
        return x + self.body(x) if self.skip else self.body(x)


def backbone():
    """MobileNetV2's blocks in order."""
    blocks, width = [conv(3, 32, 3, 2, act=nn.ReLU6())], 32
    for grow, out, count, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for number in range(count):
            blocks.append(Block(width, out, stride if number == 0 else 1, grow))
            width = out
    return nn.ModuleList([*blocks, conv(width, 1280, 1, act=nn.ReLU6())])


class Context(nn.Module):
    """Context module of RetinaFace."""

    def __init__(self, c):
        super().__init__()
        slope = nn.LeakyReLU(0.0)  # as published: LeakyRelu with slope 0 above 64 channels
        self.a = conv(c, c // 2)
        self.b1, self.b2 = conv(c, c // 4, act=slope), conv(c // 4, c // 4)
        self.c2, self.c3 = conv(c // 4, c // 4, act=slope), conv(c // 4, c // 4)

    def forward(self, x):
        """(1, c, H, W) to the same shape."""
        b = self.b1(x)
        return functional.relu(torch.cat([self.a(x), self.b2(b), self.c3(self.c2(b))], 1))


class Net(nn.Module):
    """The whole detector."""

    def __init__(self, c=128):
        super().__init__()
        slope = nn.LeakyReLU(0.0)
        self.body = backbone()
        self.side = nn.ModuleList(conv(i, c, 1, act=slope) for i in (32, 96, 1280))
        self.merge = nn.ModuleList(conv(c, c, 3, act=slope) for _ in range(2))
        self.context = nn.ModuleList(Context(c) for _ in range(3))
        self.heads = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(c, 2 * n, 1) for _ in range(3)) for n in (4, 2, 10)
        )

    def forward(self, x):
        """(1, 3, 640, 640) to boxes, classes and landmarks of all anchors."""
        maps = []
        for index, block in enumerate(self.body):
            x = block(x)
            if index in (6, 13, 18):
                maps.append(x)
        low, mid, high = (side(m) for side, m in zip(self.side, maps, strict=True))
        mid = self.merge[1](mid + functional.interpolate(high, size=mid.shape[2:], mode="nearest"))
        low = self.merge[0](low + functional.interpolate(mid, size=low.shape[2:], mode="nearest"))
        maps = [context(m) for context, m in zip(self.context, (low, mid, high), strict=True)]
        boxes, classes, marks = (
            torch.cat(
                [head(m).permute(0, 2, 3, 1).reshape(1, -1, n) for head, m in zip(heads, maps, strict=True)],
                1,
            )
            for heads, n in zip(self.heads, (4, 2, 10), strict=True)
        )
        return boxes, classes.softmax(-1), marks


def main() -> None:
    """Command line: the file to write."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = Net().eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in")
            if module.bias is not None:
                module.weight.data *= 1e-3  # boxes stay near their anchors
                nn.init.zeros_(module.bias)
    with torch.no_grad():
        for head in net.heads[1]:
            head.bias.copy_(torch.tensor([20.0, -20.0, 20.0, -20.0]))
        print("parameters", sum(p.numel() for p in net.parameters()))
        picture = torch.randint(0, 256, (1, 3, 640, 640)).float() - 110
        # settle the statistics on noise, so that activations are of ordinary size: no overflow, no denormals
        net.train()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        net(picture)
        net.eval()
        shapes = [tuple(part.shape) for part in net(picture)]
        print("outputs", shapes)
        torch.onnx.export(
            net,
            picture,
            sys.argv[1],
            input_names=["input"],
            output_names=["loc", "conf", "landmarks"],
            opset_version=11,
            dynamo=False,
        )


if __name__ == "__main__":
    main()
