"""The command line's values are built, whatever their characters, and config.gin repeats them."""

import pytest

from pymim import config
from pymim.run import main

PATHS = [
    *("my photos", "a  b", "a(b", "a)", "(b)", "(1)", "[x]", "[1]", "x[1", "{a}", "{"),
    *("a&b", "a@b", "@home", "@a b", "a#b", "#b", "2024#b", "100%", "%20photos", "%home", "50%off"),
    *("a$b", "$HOME", "a=b", "=b", "a,b", "1,2", "a;b", "a:b", "it's", "'tis", 'say "hi"', '"q'),
    *("2024", "-3", "1e5", "1_000", "True", "False", "None", "nan"),
    *("a\\b", "\\n", "C:\\Users\\me", "a\nb", "größe", "日本", "~/x y", "./2024", "-x", "--x"),
    *("*", "a?", "`x`", "!x", "<x>", "x|y", ". ..", "photos.gin", "x" * 100 + " " + "y" * 100),
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_text_and_reads_back(path, tmp_path):
    """By each kind of string binding: a macro, one through another macro, an argument."""
    text = config.load(
        ["gin/clusterfit.gin"],
        [f"DATA={path}", f"STAGE_1=x{path}", f"method.Objective.name={path}"],
    )
    (tmp_path / "it's (a) run").mkdir()
    again = tmp_path / "it's (a) run" / "config.gin"
    again.write_text(text)
    for files in ([], [str(again)]):
        if files:
            assert config.load(files) == text
        assert config.value("data.Loader", "source", None) == path
        assert config.value("encoders.Frozen", "path", None) == f"x{path}"
        assert config.value("method.Objective", "name", None) == path


@pytest.mark.parametrize(
    ("binding", "selector", "argument", "wanted"),
    [
        ("START=None", "train.Trainer", "start", None),
        ("START=2024", "train.Trainer", "start", "2024"),
        ("START=True", "train.Trainer", "start", "True"),
        ("DATA='quoted'", "data.Loader", "source", "quoted"),
        ("STEPS=1_000", "train.Trainer", "steps", 1000),
        ("STEPS=3  # few", "train.Trainer", "steps", 3),
        ("STATISTICS=((0.5,), (0.2,))", "views.Center", "statistics", ((0.5,), (0.2,))),
        ("predictors.Transformer.sparse=True", "predictors.Transformer", "sparse", True),
    ],
)
def test_values_that_are_not_text_stay(binding, selector, argument, wanted):
    config.load(["gin/mae.gin"], [binding])
    assert config.value(selector, argument, "unset") == wanted
    assert type(config.value(selector, argument, "unset")) is type(wanted)


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("STEPS=", "-b 'STEPS=': expected NAME=VALUE, got no value"),
        ("STEPS", "-b 'STEPS': expected NAME=VALUE, got no '='"),
        ("=3", "got '' as the name"),
        ("3=3", "got '3' as the name"),
        ("a b=3", "got 'a b' as the name"),
        ("STEPS=1e3", "train.Trainer.steps: expected int, got 1000.0; write 1000"),
        ("STEPS=1.5", "train.Trainer.steps: expected int, got 1.5"),
        ("STEPS=(3,)", "expected int, got (3,)"),
        ("STEPS=[3]", "expected int, got [3]"),
        ("STEPS=True", "expected int, got True"),
        ("STEPS=None", "expected int, got None"),
        ("STEPS=many", "expected int, got 'many'"),
        ("STEPS=3 4", "-b 'STEPS=3 4': "),
        ("STEPS=", "got no value"),
        ("RATIO=None", "masks.Uniform.ratio: expected float or a component, got None"),
        ("RATIO=True", "expected float or a component, got True"),
        ("RATIO=(0.5,)", "expected float or a component, got (0.5,)"),
        ("optim.AdamW.betas=(0.9,)", "expected a tuple of 2, got (0.9,)"),
        ("encoders.ViT.patch=(4, 'x')", "expected int or a tuple of int, got (4, 'x')"),
        ("encoders.ViT.patch=4.0", "got 4.0; write 4"),
        ("CLIP=3", "expected a component or None, got 3"),
        ("train.Trainer.evaluate=False", "expected a component or None, got False"),
        ("DATA=@data.Digts", "no component is called data.Digts; did you mean Digits?"),
        ("DATA=%DATAA", "no macro is called DATAA; did you mean DATA?"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(binding, message, tmp_path, capsys):
    assert main(["--gin", "gin/mae.gin", "-b", binding, "--workdir", str(tmp_path / "run")]) == 2
    shown = capsys.readouterr().err.strip()
    assert message in shown
    assert len(shown.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_number_deep_inside_a_value_stays_one():
    """The macro stands in a dict in a tuple in a tuple."""
    assert "STAGE_STEPS = 3\n" in config.load(["gin/mr_mae.gin"], ["STAGE_STEPS=3"])
