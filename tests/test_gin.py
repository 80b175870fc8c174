"""Every gin file that is shipped does what it is for."""

from pathlib import Path

import pytest

from pymim.run import main

GIN = Path(__file__).parent.parent / "gin"
PAPERS = sorted(path.stem for path in GIN.glob("*.gin") if path.stem != "base")
SMALL = [
    "DIM=16",
    "DEPTH=1",
    "HEADS=2",
    "BATCH=8",
    "STEPS=2",
    "Transformer.dim=16",
    "Transformer.depth=1",
    "Transformer.heads=2",
]
QUICK = ["Evaluation.train_images=20", "Evaluation.test_images=10", "Pictures.images=2", "FineTune.steps=2"]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_paper_trains_two_steps(paper, tmp_path):
    words = [word for binding in (*SMALL, *QUICK) for word in ("-b", binding)]
    assert main(["--gin", f"gin/{paper}.gin", *words, "--workdir", str(tmp_path / paper)]) == 0


@pytest.mark.parametrize("paper", PAPERS)
def test_every_paper_opens_with_its_name_and_citation(paper):
    first = (GIN / f"{paper}.gin").read_text().splitlines()[0]
    assert first.startswith("# ")
    assert "et al." in first


@pytest.mark.parametrize("part", sorted(str(path.relative_to(GIN)) for path in GIN.glob("*/*.gin")))
def test_every_part_fits_a_paper(part, tmp_path, capsys):
    words = ["--gin", "gin/mae.gin", "--gin", f"gin/{part}", "-b", "IMAGE=224", "-b", "DATA=somewhere"]
    assert main([*words, "--mode", "explain", "--workdir", str(tmp_path)]) == 0
    assert "predictor" in capsys.readouterr().out
