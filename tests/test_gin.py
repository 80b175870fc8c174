"""Every gin file that is shipped does what it is for."""

import re
from itertools import takewhile
from pathlib import Path

import pytest

from pymim.config import FAMILIES, flags
from pymim.run import main

GIN = Path(__file__).parent.parent / "gin"
PAPERS = sorted(path.stem for path in GIN.glob("*.gin") if path.stem != "base")
SMALL = ["DIM=16", "DEPTH=1", "HEADS=2", "BATCH=8", "STEPS=2"]
PARTS = {  # by the component that a file uses; -b refuses what nothing reads
    "predictors.Transformer": ["Transformer.dim=16", "Transformer.depth=1", "Transformer.heads=2"],
    "STAGE_STEPS": ["STAGE_STEPS=2"],
    "predictors.Cross": ["Cross.depth=1"],
    "tap = %LOW": ["LOW=1", "MIDDLE=1", "HIGH=1"],
    "targets.Assigned": ["TRUNK=@encoders.ViT()"],
    "losses.Contrast": ["TRUNK=@encoders.ViT()"],
    "clusters.Survey": ["DATA=@data.Digits", "data.Digits.length=40", "TRUNK=@encoders.ViT()"],
    "predictors.Pyramid": ["ResNet.dim=4", "Pyramid.dim=16"],
    "predictors.Convolved": ["ConvNeXt.dim=4", "Convolved.dim=16"],
}
REPLACED = {"predictors.Convolved": "predictors.Pyramid"}  # of a file by one that includes it
QUICK = [
    "Evaluation.train_images=20",
    "Evaluation.test_images=10",
    "Pictures.images=2",
    "FineTune.steps=2",
]


def whole(path):
    """A gin file's text, and that of what it includes."""
    text = path.read_text()
    return text + "".join(whole(GIN / name) for name in re.findall(r"^include '(.*)'", text, re.M))


def small_of(paper):
    """Bindings that make a paper's run small."""
    text = whole(GIN / f"{paper}.gin")
    read = [binding for binding in SMALL if f"{binding.partition('=')[0]} =" in text]
    gone = {replaced for name, replaced in REPLACED.items() if name in text}
    used = [bindings for name, bindings in PARTS.items() if name in text and name not in gone]
    return [*read, *(binding for bindings in used for binding in bindings)]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_paper_trains_two_steps(paper, tmp_path):
    text, small = whole(GIN / f"{paper}.gin"), small_of(paper)
    last = re.findall(r"^evaluate\.Evaluation\.probes = (.*)|^ +probes = (.*)", text, re.M)[0]
    small += ["probes.Linear.iterations=3"] if "probes.Linear()" in "".join(last) else []
    words = flags([f"gin/{paper}.gin", *small, *QUICK])
    assert main([*words, "--workdir", str(tmp_path / paper)]) == 0


@pytest.mark.parametrize("paper", PAPERS)
def test_every_paper_opens_with_its_name_and_citation(paper):
    family, *lines = (GIN / f"{paper}.gin").read_text().splitlines()
    what = list(takewhile(lambda line: line != "#", lines))
    assert family.removeprefix("# Family: ") in FAMILIES
    assert 1 <= len(what) <= 3 and all(line.startswith("# ") for line in what)
    assert "et al." in " ".join(what)


@pytest.mark.parametrize("paper", PAPERS)
def test_every_paper_says_its_command_and_what_to_expect(paper):
    lines = (GIN / f"{paper}.gin").read_text().splitlines()
    header = list(takewhile(lambda line: line.startswith("#"), lines))
    command = rf"# python -m pymim\.run --gin gin/{paper}\.gin(: [\d.]+ min.*)?"
    assert sum(bool(re.fullmatch(command, line)) for line in header) == 1
    assert sum(line.startswith("# Expect") for line in header) == 1


@pytest.mark.parametrize("path", sorted(GIN.glob("*/**/*.gin")), ids=lambda path: path.stem)
def test_what_a_part_or_recipe_is_fits_its_first_paragraph(path):
    lines = path.read_text().splitlines()
    header = list(takewhile(lambda line: line.startswith("#"), lines))
    assert len(list(takewhile(lambda line: line != "#", header))) <= 2


def test_a_method_of_new_combined_parts_is_ten_lines():
    lines = (GIN / "hpm_capi.gin").read_text().splitlines()
    assert (
        len([line for line in lines if line[:1] != "#"]) <= 9
    )  # below the line that says what it does


@pytest.mark.parametrize("recipe", sorted(path.stem for path in (GIN / "recipe").glob("*.gin")))
def test_every_recipe_is_explained_without_being_allocated(recipe, tmp_path, capsys):
    assert (
        main(["--gin", f"gin/recipe/{recipe}.gin", "--mode", "explain", "--workdir", str(tmp_path)])
        == 0
    )
    assert "parameters" in capsys.readouterr().out


def test_a_recipe_with_a_misspelt_pattern_is_refused(tmp_path, capsys):
    words = ["--gin", "gin/recipe/mae_video.gin", "-b", "optim.AdamW.no_decay='maks_token'"]
    assert main([*words, "--mode", "explain", "--workdir", str(tmp_path)]) == 2
    assert (
        "got 'maks_token', which matches none; did you mean 'mask_token'?"
        in capsys.readouterr().err
    )


PARTIAL = sorted(
    str(path.relative_to(GIN)) for path in GIN.glob("*/*.gin") if path.parent.name != "recipe"
)


USED_BY = {  # what is needed besides, for parts that are not MAE's
    "model/alexnet.gin": ("deepcluster", ["TRUNK=@encoders.Stacked()"]),
    "model/vgg16.gin": ("deepcluster", ["TRUNK=@encoders.Stacked()"]),
    "model/vit.gin": ("deepcluster", ["TRUNK=@encoders.ViT()"]),
    "model/resnet18.gin": ("deepcluster", []),
    "model/resnet50.gin": ("deepcluster", []),
    "model/convnext.gin": ("convnext_v2", []),
    "model/convnext_base.gin": ("convnext_v2", []),
    "model/mining.gin": ("hpm", []),
    "model/codes.gin": ("cae", []),
    "model/tokenizer.gin": ("cae", []),
    "model/tokenizer_base.gin": ("cae", ["PATCH=8"]),
}


@pytest.mark.parametrize("part", PARTIAL)
def test_every_part_fits_a_paper(part, tmp_path, capsys):
    paper, more = USED_BY.get(part, ("mae", []))
    words = flags([f"gin/{paper}.gin", f"gin/{part}", "IMAGE=224", "DATA=somewhere", *more])
    assert main([*words, "--mode", "explain", "--workdir", str(tmp_path)]) == 0
    assert "predictor" in capsys.readouterr().out
