"""Dictionaries: codes against formulas read slowly and against the libraries that own the formats; bad files."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.tiny import encoder, write_saelens
from vitvis.backbones import Tap, load_backbone, parse_units, read_units
from vitvis.backbones.dictionary import Dictionary
from vitvis.backbones.dictionary_files import read_dictionary
from vitvis.errors import VitvisError

K, D, N = 60, 24, 30


def inputs() -> Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(5)) * 2 + 0.5


def slowly(
    tensors: dict[str, Tensor], *, k: int | None = None, norm: str = "none", relu: bool = True, shift: bool = True
) -> np.ndarray:
    """Codes by the published formulas, one token and one latent after the other, in float64."""
    found = np.zeros((N, K))
    numbers = {name: value.double().numpy() for name, value in tensors.items()}
    for row, x in enumerate(inputs().double().numpy()):
        if norm == "layer_norm":
            x = x - x.mean()
            x = x / (np.sqrt((x**2).sum() / (len(x) - 1)) + 1e-5)
        elif norm == "constant_norm_rescale":
            x = x * np.sqrt(len(x)) / np.sqrt((x**2).sum())
        x = x - numbers["b_dec"] if shift else x
        before = np.array([sum(x[d] * numbers["W_enc"][d, j] for d in range(D)) for j in range(K)])
        if "b_gate" in numbers:
            gate = before + numbers["b_gate"] > 0
            found[row] = gate * np.maximum(0, before * np.exp(numbers["r_mag"]) + numbers["b_mag"])
            continue
        before = before + numbers["b_enc"]
        codes = np.maximum(0, before) if relu else before.copy()
        if "threshold" in numbers:
            codes[before <= numbers["threshold"]] = 0
        if k is not None:
            codes[np.argsort(-before)[k:]] = 0
        found[row] = codes
    return found


def check(dictionary: Dictionary, wanted: np.ndarray | Tensor) -> None:
    """All ways to read codes give the ones that are wanted."""
    x, wanted = inputs(), torch.as_tensor(np.asarray(wanted)).float()
    torch.testing.assert_close(dictionary.encode(x), wanted, atol=1e-5, rtol=1e-5)
    rows, latents, codes = dictionary.active(x)
    sparse = torch.zeros(N, dictionary.width)
    sparse[rows, latents] = codes
    torch.testing.assert_close(sparse, wanted, atol=1e-5, rtol=1e-5)
    own = torch.arange(N) % dictionary.width
    before, on = dictionary.own(x[:, None], own)
    torch.testing.assert_close(torch.where(on, before, 0.0)[:, 0], wanted[torch.arange(N), own], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", ["none", "layer_norm", "constant_norm_rescale"])
def test_relu_and_topk_of_saelens(tmp_path: Path, norm: str) -> None:
    tensors = encoder()
    check(
        read_dictionary(write_saelens(tmp_path / "a", tensors, normalize_activations=norm)), slowly(tensors, norm=norm)
    )
    topk = write_saelens(tmp_path / "b", tensors, architecture="topk", k=5, normalize_activations=norm)
    check(read_dictionary(topk), slowly(tensors, k=5, norm=norm))


def test_decoder_bias_is_taken_only_where_the_settings_say_so(tmp_path: Path) -> None:
    tensors = encoder()
    check(read_dictionary(write_saelens(tmp_path, tensors, apply_b_dec_to_input=False)), slowly(tensors, shift=False))


def test_topk_of_rescaled_latents(tmp_path: Path) -> None:
    tensors = encoder()
    length = tensors["W_dec"].norm(dim=1)
    scaled = tensors | {"W_enc": tensors["W_enc"] * length, "b_enc": tensors["b_enc"] * length}
    folder = write_saelens(tmp_path, tensors, architecture="topk", k=5, rescale_acts_by_decoder_norm=True)
    check(read_dictionary(folder), slowly(scaled, k=5))


def test_jumprelu_and_what_batchtopk_and_matryoshka_are_saved_as(tmp_path: Path) -> None:
    tensors = encoder() | {"threshold": torch.rand(K) * 2}
    check(read_dictionary(write_saelens(tmp_path / "a", tensors, architecture="jumprelu")), slowly(tensors))
    one = encoder() | {"threshold": torch.full((K,), 1.3)}
    check(read_dictionary(write_saelens(tmp_path / "b", one, architecture="matryoshka_batchtopk", k=5)), slowly(one))


def test_gated(tmp_path: Path) -> None:
    own = encoder()
    tensors = {name: own[name] for name in ("W_enc", "W_dec", "b_dec")}
    tensors |= {name: torch.randn(K) * 0.5 for name in ("b_gate", "b_mag", "r_mag")}
    check(read_dictionary(write_saelens(tmp_path, tensors, architecture="gated")), slowly(tensors))


def test_transcoder_reads_its_input_alone(tmp_path: Path) -> None:
    tensors = encoder() | {"W_dec": torch.randn(K, 40), "b_dec": torch.randn(40)}
    folder = write_saelens(tmp_path, tensors, architecture="transcoder", apply_b_dec_to_input=False)
    check(read_dictionary(folder), slowly(tensors | {"b_dec": torch.zeros(D)}))


def test_vit_prisma_with_its_settings_beside_it_or_in_the_file(tmp_path: Path) -> None:
    tensors = encoder()
    config = {
        "architecture": "standard", "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 4},
        "normalize_activations": "layer_norm",
    }  # fmt: skip
    folder = tmp_path / "hub"
    folder.mkdir()
    torch.save(tensors, folder / "weights.pt")
    (folder / "config.json").write_text(json.dumps(config))
    wanted = slowly(tensors, k=4, norm="layer_norm")
    check(read_dictionary(folder), wanted)
    module = types.ModuleType("prisma_that_is_not_here")  # the file names a class, which is never asked for

    @dataclasses.dataclass
    class VisionModelSAERunnerConfig:
        architecture: str = "standard"
        activation_fn_str: str = "topk"
        activation_fn_kwargs: Any = dataclasses.field(default_factory=lambda: {"k": 4})
        normalize_activations: str = "layer_norm"

    VisionModelSAERunnerConfig.__module__, VisionModelSAERunnerConfig.__qualname__ = (
        module.__name__,
        "VisionModelSAERunnerConfig",
    )
    module.VisionModelSAERunnerConfig = VisionModelSAERunnerConfig  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    config_object = VisionModelSAERunnerConfig()
    config_object.activation_fn_kwargs = {"k": 4}
    torch.save({"cfg": config_object, "state_dict": tensors}, tmp_path / "n_images_1.pt")
    del sys.modules[module.__name__]
    check(read_dictionary(tmp_path / "n_images_1.pt"), wanted)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ({"d_vit": D, "exp_factor": 2, "l1_coeff": 1.0}, {"shift": True}),
        ({"schema": 1, "cls": "TopK", "cfg": {"d_vit": D, "top_k": 6}}, {"k": 6, "relu": False, "shift": True}),
        ({"schema": 2, "cfg": {"activation": {"cls": "Relu", "params": {}}}}, {"shift": False}),
        ({"schema": 2, "cfg": {"activation": {"cls": "BatchTopK", "params": {"top_k": 3}}}},
         {"k": 3, "relu": False, "shift": False}),
    ],
)  # fmt: skip
def test_saev(tmp_path: Path, header: dict[str, Any], wanted: dict[str, Any]) -> None:
    tensors = encoder()
    with (tmp_path / "sae.pt").open("wb") as file:
        file.write((json.dumps(header) + "\n").encode())
        torch.save(tensors, file)
    check(read_dictionary(tmp_path / "sae.pt"), slowly(tensors, **wanted))


def test_state_dict_of_overcomplete_with_what_it_does_not_say(tmp_path: Path) -> None:
    own = encoder()
    mean, spread = torch.randn(K), torch.rand(K) + 0.5
    gain, bias = torch.randn(K), torch.randn(K)
    state = {
        "encoder.final_block.0.weight": own["W_enc"].T.contiguous(), "encoder.final_block.0.bias": own["b_enc"],
        "encoder.final_block.1.running_mean": mean, "encoder.final_block.1.running_var": spread,
        "encoder.final_block.1.weight": gain, "encoder.final_block.1.bias": bias,
        "encoder.final_block.1.num_batches_tracked": torch.tensor(3), "dictionary._weights": own["W_dec"],
    }  # fmt: skip
    torch.save(state, tmp_path / "sae.pt")
    with pytest.raises(VitvisError, match="top_k"):
        read_dictionary(tmp_path / "sae.pt")
    (tmp_path / "sae.json").write_text('{"top_k": 7}')
    layer = torch.nn.functional.batch_norm(inputs() @ own["W_enc"] + own["b_enc"], mean, spread, gain, bias)
    values, places = layer.relu().topk(7, dim=1)
    check(read_dictionary(tmp_path / "sae.pt"), torch.zeros(N, K).scatter(1, places, values))


def test_own_layout_is_one_safetensors_file(tmp_path: Path) -> None:
    own = encoder()
    tensors = {"weight": own["W_enc"].T.contiguous(), "bias": own["b_enc"], "shift": own["b_dec"]}
    save_file(tensors, tmp_path / "mine.safetensors", metadata={"k": "8", "normalize_activations": "layer_norm"})
    check(read_dictionary(tmp_path / "mine.safetensors"), slowly(own, k=8, norm="layer_norm"))


def test_against_overcomplete(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = pytest.importorskip(
            "overcomplete.sae", reason="needs overcomplete", exc_type=(ImportError, AttributeError)
        )
    torch.manual_seed(0)
    for name, settings in (("SAE", {}), ("TopKSAE", {"top_k": 5}), ("BatchTopKSAE", {"top_k": 90}), ("JumpSAE", {})):
        for module in ("linear", "mlp_bn_1"):
            sae = getattr(library, name)(D, K, encoder_module=module, **settings)
            sae.train()
            sae.encode(inputs())  # batch norms and thresholds see something
            sae.eval()
            torch.save(sae, tmp_path / f"{name}-{module}.pt")
            with torch.no_grad():
                check(read_dictionary(tmp_path / f"{name}-{module}.pt"), sae.encode(inputs())[1])


def test_against_saelens(tmp_path: Path) -> None:
    library: Any = pytest.importorskip("sae_lens", reason="needs sae-lens")
    torch.manual_seed(0)
    kinds = {"Standard": {}, "TopK": {"k": 5}, "JumpReLU": {}, "Gated": {}}
    for name, settings in kinds.items():
        for norm in ("none", "layer_norm", "constant_norm_rescale"):
            config = getattr(library, f"{name}SAEConfig")(d_in=D, d_sae=K, normalize_activations=norm, **settings)
            sae = getattr(library, f"{name}SAE")(config)
            with torch.no_grad():
                for parameter in sae.parameters():
                    parameter.copy_(torch.randn(parameter.shape) * 0.4)
                sae.save_model(tmp_path / f"{name}-{norm}")
                check(read_dictionary(tmp_path / f"{name}-{norm}"), sae.encode(inputs()))


def test_gradient_is_that_of_the_codes_row_alone(tmp_path: Path) -> None:
    dictionary = read_dictionary(write_saelens(tmp_path, encoder(), architecture="topk", k=5))
    x = inputs().requires_grad_()
    dense = dictionary.encode(x)
    latent = int(dense[0].argmax())
    (whole,) = torch.autograd.grad(dense[0, latent], x)
    before, on = dictionary.own(x[None], torch.tensor([latent]))
    (own,) = torch.autograd.grad(torch.where(on, before, 0.0)[0, 0], x)
    torch.testing.assert_close(own, whole)


def test_latents_are_units_of_a_site_of_their_own(tmp_path: Path) -> None:
    folder = write_saelens(tmp_path / "sae", encoder(), architecture="topk", k=5)
    backbone = load_backbone("python:tests.tiny:rgb")
    units = parse_units(
        [f"blocks.1.block@{folder}:3,7-8", f"-blocks.1.block@{folder}:3", "blocks.0.block:1"], backbone.sites
    )
    name = f"blocks.1.block@{folder}"
    assert [unit.address for unit in units] == ["blocks.0.block:1", f"{name}:3", f"{name}:7", f"{name}:8", f"-{name}:3"]
    site = backbone.site(name)
    assert (site.kind, site.width, site.depth, site.grid) == ("latent", K, 1, (4, 4))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), Tap(backbone, [name, "blocks.1.block"]) as tap:
        found = tap(images)
    wanted = read_dictionary(folder).encode(found["blocks.1.block"])
    torch.testing.assert_close(found[name], wanted)
    torch.testing.assert_close(read_units(found[name], units[-1:], site)[..., 0], -wanted[..., 3])


def test_a_file_of_one_matrix_still_holds_directions(tmp_path: Path) -> None:
    save_file({"rows": torch.randn(4, D)}, tmp_path / "rows.safetensors")
    backbone = load_backbone("python:tests.tiny:rgb")
    unit = parse_units(f"blocks.1.block@{tmp_path}/rows.safetensors:3", backbone.sites)[0]
    assert (unit.site, unit.direction) == ("blocks.1.block", f"{tmp_path}/rows.safetensors")


class _Evil:
    def __reduce__(self) -> Any:
        return (open, ("ran.txt", "w"))


def _bad(folder: Path, name: str) -> Path:
    tensors = encoder()
    file = folder / "sae.pt"
    if name == "nothing there":
        return folder / "absent"
    if name == "empty folder":
        (folder / "empty").mkdir()
        return folder / "empty"
    if name == "no weight":
        torch.save({"b_enc": tensors["b_enc"], "b_dec": tensors["b_dec"]}, file)
    elif name == "no number":
        return write_saelens(folder / "a", tensors, architecture="topk")
    elif name == "too many":
        return write_saelens(folder / "a", tensors, architecture="topk", k=K + 1)
    elif name == "architecture":
        return write_saelens(folder / "a", tensors, architecture="topkk", k=3)
    elif name == "normalisation":
        return write_saelens(folder / "a", tensors, normalize_activations="expected_average_only_in")
    elif name == "nan":
        return write_saelens(folder / "a", tensors | {"b_enc": torch.full((K,), torch.nan)})
    elif name == "bias":
        return write_saelens(folder / "a", tensors | {"b_enc": torch.zeros(K + 1)})
    elif name == "infinite":
        return write_saelens(folder / "a", tensors | {"W_enc": torch.full((D, K), torch.inf)})
    elif name == "shift":
        return write_saelens(folder / "a", tensors | {"shift": torch.zeros(D - 1)})
    elif name == "threshold":
        return write_saelens(folder / "a", tensors | {"threshold": torch.zeros(3)}, architecture="jumprelu")
    elif name == "gate":
        return write_saelens(folder / "a", tensors | {"b_gate": torch.zeros(3)}, architecture="gated")
    elif name == "no latent":
        return write_saelens(folder / "a", {"W_enc": torch.zeros(D, 0)})
    elif name in ("half", "true", "endless"):
        number = {"half": 2.5, "true": True, "endless": float("inf")}[name]
        return write_saelens(folder / "a", tensors, architecture="topk", k=number)
    elif name == "empty file":
        file.touch()
    elif name == "json":
        (write_saelens(folder / "a", tensors) / "cfg.json").write_text("{")
        return folder / "a"
    elif name == "cut":
        torch.save(tensors, file)
        file.write_bytes(file.read_bytes()[:900])
    elif name == "evil":
        torch.save({"W_enc": tensors["W_enc"], "evil": _Evil()}, file)
    return file


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nothing there", "no such file"), ("empty folder", "no file of weights"), ("no weight", "no encoder weight"),
        ("no number", "how many latents"), ("too many", "has to be 1 to 60"), ("architecture", "did you mean 'topk'"),
        ("normalisation", "fold it"), ("nan", "NaN"), ("bias", r"\[61\], not \[60\]"), ("json", "can't be read"),
        ("cut", "can't be read"), ("infinite", "infinite numbers in its weight"), ("shift", r"\[23\], not \[24\]"),
        ("threshold", r"\[3\], not \[60\]"), ("gate", r"\[3\], not \[60\]"), ("no latent", "no latents"),
        ("half", "k=2.5: has to be a whole"), ("true", "whole"), ("endless", "whole"), ("empty file", "cut short"),
    ],
)  # fmt: skip
def test_bad_files_are_one_line(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(VitvisError, match=says) as error:
        read_dictionary(_bad(tmp_path, name))
    assert "\n" not in str(error.value)


def test_nothing_of_a_pickle_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dictionary = read_dictionary(_bad(tmp_path, "evil"))
    assert dictionary.width == K and not (tmp_path / "ran.txt").exists()


def test_wrong_width_names_sites_that_fit(tmp_path: Path) -> None:
    folder = write_saelens(tmp_path, encoder())
    with pytest.raises(
        VitvisError, match=r"width 24, but blocks.0.mlp .* has 96; sites of that width: .*blocks.0.block"
    ):
        parse_units(f"blocks.0.mlp@{folder}:0", load_backbone("python:tests.tiny:rgb").sites)


def test_files_of_units_are_looked_at_before_a_model_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    import numpy as np

    from vitvis.backbones import check_files
    from vitvis.cli import find_command

    monkeypatch.setattr("vitvis.fit.plan.load_backbone", None)
    monkeypatch.setattr("vitvis.search.engine.load_backbone", None)
    monkeypatch.setattr("vitvis.sites.table.load_backbone", None)
    os.mkfifo(tmp_path / "pipe.pt")
    np.save(tmp_path / "nans.npy", np.full((2, D), np.nan))
    np.save(tmp_path / "none.npy", np.zeros((0, D)))
    (tmp_path / "text.npy").write_text("rows")
    write_saelens(tmp_path / "bad", encoder(), architecture="topkk")
    (tmp_path / "photos").mkdir()
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "photos/a.png")
    for name in ("pipe.pt", "nans.npy", "none.npy", "text.npy", "bad", "absent"):
        text = f"blocks.0.block@{tmp_path / name}:0"
        with pytest.raises(VitvisError, match=name):
            check_files(text)
        for words in (["fit"], ["sites"], ["search", f"data=folder:{tmp_path / 'photos'}"]):
            assert find_command(words[0]).main([*words[1:], f"units={text}"]) == 2
    for text in (f"image:{tmp_path / 'pipe.pt'}", f'text:"a dog"+image:{tmp_path}/absent.png', "text:*2"):
        with pytest.raises(VitvisError, match="units '"):
            check_files([text])
    with pytest.raises(VitvisError, match="no such file ''"):
        check_files("blocks.0.block@:0")
    np.save(tmp_path / "zeros.npy", np.zeros((2, D)))
    with pytest.raises(VitvisError, match="row 1 of .* is all zeros"):
        parse_units(f"blocks.0.block@{tmp_path / 'zeros.npy'}:1", load_backbone("python:tests.tiny:rgb").sites)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    import os

    folder = write_saelens(tmp_path, encoder())
    first = read_dictionary(folder).digest
    write_saelens(tmp_path, encoder(seed=1))
    os.utime(tmp_path / "sae_weights.safetensors", ns=(1, 1))
    assert read_dictionary(folder).digest != first
