"""Auto-AVSR's networks, from their published structure: its names and its order of operations.

It is written in PyTorch's own modules, apart from the networks of this program, and shares nothing with them. Attention
over relative positions is worked out offset by offset; utterances stand alone, without padding; there is no dropout.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


def named(**parts):
    """A module of parts, called by their names."""
    module = nn.Module()
    for name, part in parts.items():
        module.add_module(name, part)
    return module


def norm(dim):
    return nn.LayerNorm(dim, eps=1e-12)


def sinusoids(positions, dim):
    """In float32, as theirs."""
    rates = torch.exp(torch.arange(0, dim, 2, dtype=torch.float32) * -(math.log(10000.0) / dim))
    angles = positions.to(torch.float32).unsqueeze(1) * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


class Residual(nn.Module):
    """A basic block of a ResNet, of one or two dimensions."""

    def __init__(self, convolution, batch_norm, inputs, outputs, stride):
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = batch_norm(outputs)
        self.conv2 = convolution(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = batch_norm(outputs)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(convolution(inputs, outputs, 1, stride, bias=False), batch_norm(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.silu(self.bn1(self.conv1(x)))))
        return F.silu(y + (x if self.downsample is None else self.downsample(x)))


class Trunk(nn.Module):
    """The four stages."""

    def __init__(self, convolution, batch_norm, width):
        super().__init__()
        for stage in range(4):
            inputs, outputs, stride = (width, width, 1) if stage == 0 else (width << stage - 1, width << stage, 2)
            first = Residual(convolution, batch_norm, inputs, outputs, stride)
            second = Residual(convolution, batch_norm, outputs, outputs, 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(first, second))

    def forward(self, x):
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class AudioFront(nn.Module):
    """``waves (1, 640 T, 1)`` -> ``(1, T, 8 width)``."""

    def __init__(self, width):
        super().__init__()
        self.trunk = Trunk(nn.Conv1d, nn.BatchNorm1d, width)
        self.trunk.conv1 = nn.Conv1d(1, width, 80, 4, 38, bias=False)
        self.trunk.bn1 = nn.BatchNorm1d(width)

    def forward(self, waves):
        x = F.silu(self.trunk.bn1(self.trunk.conv1(waves.transpose(1, 2))))
        return F.avg_pool1d(self.trunk(x), 20, 20).transpose(1, 2)


class VideoFront(nn.Module):
    """``pictures (1, T, 1, H, W)`` -> ``(1, T, 8 width)``."""

    def __init__(self, width):
        super().__init__()
        self.trunk = Trunk(nn.Conv2d, nn.BatchNorm2d, width)
        stem = nn.Conv3d(1, width, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False)
        self.frontend3D = nn.Sequential(
            stem, nn.BatchNorm3d(width), nn.SiLU(), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        )

    def forward(self, pictures):
        x = self.frontend3D(pictures.transpose(1, 2)).transpose(1, 2).flatten(0, 1)
        return self.trunk(x).mean((2, 3)).unsqueeze(0)


class Attention(nn.Module):
    """Attention of several heads, to relative positions too where ``relative``."""

    def __init__(self, dim, heads, relative=False):
        super().__init__()
        self.heads = heads
        for name in ("linear_q", "linear_k", "linear_v", "linear_out"):
            self.add_module(name, nn.Linear(dim, dim))
        if relative:
            self.linear_pos = nn.Linear(dim, dim, bias=False)
            self.pos_bias_u = nn.Parameter(torch.randn(heads, dim // heads))
            self.pos_bias_v = nn.Parameter(torch.randn(heads, dim // heads))

    def split(self, x):
        return x.squeeze(0).unflatten(1, (self.heads, -1)).transpose(0, 1)

    def forward(self, x, memory, causal=False):
        queries, keys, values = self.split(self.linear_q(x)), *map(self.split, self.keys_and_values(memory))
        if hasattr(self, "linear_pos"):
            scores = (queries + self.pos_bias_u.unsqueeze(1)) @ keys.transpose(1, 2) + self.by_offset(queries, x)
        else:
            scores = queries @ keys.transpose(1, 2)
        if causal:
            later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(later, -math.inf)
        mixed = (scores / math.sqrt(queries.shape[-1])).softmax(-1) @ values
        return self.linear_out(mixed.transpose(0, 1).flatten(1).unsqueeze(0))

    def keys_and_values(self, memory):
        return self.linear_k(memory), self.linear_v(memory)

    def by_offset(self, queries, x):
        """Of query i and key j, what the offset i - j adds."""
        time, dim = x.shape[1:]
        scores = queries.new_empty(self.heads, time, time)
        for query in range(time):
            for key in range(time):
                place = self.linear_pos(sinusoids(torch.tensor([query - key]), dim).to(x.dtype))
                place = place.view(self.heads, -1)
                scores[:, query, key] = ((queries[:, query] + self.pos_bias_v) * place).sum(1)
        return scores


class FeedForward(nn.Module):
    """Two matrices."""

    def __init__(self, dim, inner):
        super().__init__()
        self.w_1, self.w_2 = nn.Linear(dim, inner), nn.Linear(inner, dim)

    def forward(self, x):
        return self.w_2(F.relu(self.w_1(x)))


class EncoderLayer(nn.Module):
    """A Conformer block of macaron style."""

    def __init__(self, dim, heads, inner, kernel):
        super().__init__()
        self.self_attn = Attention(dim, heads, relative=True)
        self.feed_forward, self.feed_forward_macaron = FeedForward(dim, inner), FeedForward(dim, inner)
        self.conv_module = named(
            pointwise_cov1=nn.Conv1d(dim, 2 * dim, 1),
            depthwise_conv=nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim),
            norm=nn.BatchNorm1d(dim),
            pointwise_cov2=nn.Conv1d(dim, dim, 1),
        )
        for name in ("norm_ff", "norm_mha", "norm_ff_macaron", "norm_conv", "norm_final"):
            self.add_module(name, norm(dim))

    def forward(self, x):
        x = x + 0.5 * self.feed_forward_macaron(self.norm_ff_macaron(x))
        y = self.norm_mha(x)
        x = x + self.self_attn(y, y)
        part = self.conv_module
        y = F.glu(part.pointwise_cov1(self.norm_conv(x).transpose(1, 2)), dim=1)
        x = x + part.pointwise_cov2(F.silu(part.norm(part.depthwise_conv(y)))).transpose(1, 2)
        x = x + 0.5 * self.feed_forward(self.norm_ff(x))
        return self.norm_final(x)


class Encoder(nn.Module):
    """A stack of blocks; with a front end and its matrix inside, as in the tag, where one is given."""

    def __init__(self, dim, heads, inner, kernel, layers, front=None, vector=None):
        super().__init__()
        if front is not None:
            self.frontend, self.embed = front, nn.Sequential(nn.Linear(vector, dim))
        self.encoders = nn.ModuleList(EncoderLayer(dim, heads, inner, kernel) for _ in range(layers))
        self.after_norm = norm(dim)

    def forward(self, x):
        if hasattr(self, "frontend"):
            x = self.embed(self.frontend(x))
        x = x * math.sqrt(x.shape[-1])
        for layer in self.encoders:
            x = layer(x)
        return self.after_norm(x)


class DecoderLayer(nn.Module):
    """A Transformer block."""

    def __init__(self, dim, heads, inner):
        super().__init__()
        self.self_attn, self.src_attn = Attention(dim, heads), Attention(dim, heads)
        self.feed_forward = FeedForward(dim, inner)
        self.norm1, self.norm2, self.norm3 = norm(dim), norm(dim), norm(dim)

    def forward(self, x, memory):
        y = self.norm1(x)
        x = x + self.self_attn(y, y, causal=True)
        x = x + self.src_attn(self.norm2(x), memory)
        return x + self.feed_forward(self.norm3(x))


class Network(nn.Module):
    """A network of a task, in the layout of the ``main`` branch or of the ``tag``, with random weights in float64.

    They are numbers of float32, so that a file of those holds them as they are.
    """

    def __init__(
        self, task, layout, size=13, dim=16, heads=4, inner=24, kernel=5, layers=2, depth=2, width=2, fused=20
    ):
        super().__init__()
        torch.manual_seed(3)
        self.task = task
        fronts = {"audio": AudioFront, "video": VideoFront}
        sizes = dim, heads, inner, kernel, layers
        if task == "avsr":
            self.encoder = Encoder(*sizes, VideoFront(width), 8 * width)
            self.aux_encoder = Encoder(*sizes, AudioFront(width), 8 * width)
            self.fusion = named(fc1=nn.Linear(2 * dim, fused), bn1=nn.BatchNorm1d(fused), fc2=nn.Linear(fused, dim))
        else:
            front = fronts["audio" if task == "asr" else "video"](width)
            if layout == "tag":
                self.encoder = Encoder(*sizes, front, 8 * width)
            else:
                self.frontend, self.proj_encoder, self.encoder = front, nn.Linear(8 * width, dim), Encoder(*sizes)
        self.decoder = named(
            embed=nn.Sequential(nn.Embedding(size, dim)),
            decoders=nn.ModuleList(DecoderLayer(dim, heads, inner) for _ in range(depth)),
            after_norm=norm(dim),
            output_layer=nn.Linear(dim, size),
        )
        self.ctc = named(ctc_lo=nn.Linear(dim, size))
        for name, tensor in self.state_dict().items():  # away from the 0 and 1 at which they start
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.ndim == 1 and tensor.is_floating_point():
                tensor += 0.2 * torch.randn(tensor.shape)
        self.double().eval()

    @torch.no_grad()
    def forward(self, waves, pictures, tokens):
        """Of one utterance: memory ``(1, T, D)``, CTC log-probabilities ``(1, T, V)`` and logits ``(1, U, V)``.

        Args:
            waves: ``(1, 640 T)`` or None.
            pictures: ``(1, T, H, W)`` or None.
            tokens: ``(1, U)``, beginning with sos.
        """
        if self.task == "avsr":
            both = self.encoder(pictures.unsqueeze(2)), self.aux_encoder(waves.unsqueeze(2))
            x = self.fusion.bn1(self.fusion.fc1(torch.cat(both, dim=2)).transpose(1, 2)).transpose(1, 2)
            x = self.fusion.fc2(F.relu(x))
        else:
            x = waves.unsqueeze(2) if self.task == "asr" else pictures.unsqueeze(2)
            x = self.encoder(self.proj_encoder(self.frontend(x)) if hasattr(self, "frontend") else x)
        return x, F.log_softmax(self.ctc.ctc_lo(x), dim=-1), self.logits(tokens, x)

    def logits(self, tokens, memory):
        """The decoder's, ``(1, U, V)``, given the memory ``(1, T, D)``."""
        y = self.decoder.embed(tokens)
        dim = y.shape[-1]
        y = y * math.sqrt(dim) + sinusoids(torch.arange(tokens.shape[1]), dim).to(y.dtype)
        for layer in self.decoder.decoders:
            y = layer(y, memory)
        return self.decoder.output_layer(self.decoder.after_norm(y))

    def published(self):
        """Its state dict as it is published: in float32."""
        return {
            name: value.float() if value.is_floating_point() else value for name, value in self.state_dict().items()
        }
