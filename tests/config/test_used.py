"""A binding that has no effect is refused in one line, with what would have one."""

import pytest

from pymim import config
from pymim.run import main

MAE, HPM, CAPI = (["--gin", f"gin/{name}.gin"] for name in ("mae", "hpm", "capi"))
BLOCKS = ["-b", "method.Method.mask=@masks.Block()"]
TWO = """
include 'mae.gin'
from __gin__ import dynamic_registration
from pymim import losses
from pymim import method
from pymim import predictors
from pymim import targets
method.Method.objectives = (@coarse/method.Objective(), @fine/method.Objective())
"""


def refusal(words, capsys, tmp_path):
    """What a run says that is refused before its folder is made."""
    assert main([*words, "--workdir", str(tmp_path / "run")]) == 2
    shown = capsys.readouterr().err.strip()
    assert len(shown.splitlines()) == 1
    assert not (tmp_path / "run").exists()
    return shown


def file_of(tmp_path, *lines):
    path = tmp_path / "two.gin"
    path.write_text(TWO + "\n".join(lines) + "\n")
    return ["--gin", str(path)]


@pytest.mark.parametrize("mode", ["train", "explain"])
def test_a_macro_that_only_a_replaced_part_reads_is_refused(mode, capsys, tmp_path):
    shown = refusal([*MAE, *BLOCKS, "-b", "RATIO=0.9", "--mode", mode], capsys, tmp_path)
    assert shown.endswith(
        "RATIO is read by masks.Uniform, which this configuration does not use; "
        "set masks.Block.ratio"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*MAE, *BLOCKS, "--gin.RATIO=0.9"], "RATIO is read by masks.Uniform, which"),
        ([*MAE, "-b", "Method.mask=@masks.Block()", "-b", "RATIO=0.9"], "set masks.Block.ratio"),
        (
            [*MAE, "-b", "masks.Uniform.ratio=0.5", "-b", "RATIO=0.9"],
            "RATIO: a file binds masks.Uniform.ratio to it, but it is 0.5 here; "
            "set masks.Uniform.ratio",
        ),
        (
            [*MAE, "-b", "NEW=0.9", "-b", "masks.Block.ratio=%NEW"],
            "NEW is read by masks.Block, which this",
        ),
        ([*MAE, "-b", "ratio=0.5"], "no macro is called ratio; did you mean RATIO?"),
        ([*MAE, "-b", "fine/RATIO=0.5"], "no macro is called fine/RATIO; a macro has no scope"),
        (
            [*MAE, "-b", "masks.Uniform.ratio=%RATOI"],
            "masks.Uniform.ratio: no macro is called RATOI; did you",
        ),
        (
            [*MAE, "-b", "RATIO=%DEPTH", "-b", "DEPTH=%RATIO"],
            "expected a value, got a macro that refers to itself",
        ),
        (
            [*MAE, "-b", "RATIO=(%RATIO,)"],
            "RATIO: expected a value, got a macro that refers to itself",
        ),
        (
            [*HPM, "-b", "EPOCHS=3", "-b", "Method.mask=@masks.Uniform()"],
            "EPOCHS is read by schedule.Stairs, which",
        ),
        (
            ["--gin", "gin/deepcluster.gin", "-b", "DIM=32"],
            "DIM is read by encoders.ViT, which this",
        ),
    ],
)
def test_a_macro_that_nothing_reads_is_refused(words, message, capsys, tmp_path):
    assert message in refusal([*words, "--mode", "explain"], capsys, tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            [*MAE, "-b", "masks.Block.ratio=0.5"],
            "masks.Block.ratio: nothing in this configuration uses it",
        ),
        ([*MAE, "-b", "masks.Block.ratio=0.5"], "; set masks.Uniform.ratio"),
        (
            [*MAE, "-b", "Trainer.optimizer=@optim.SGD()", "-b", "optim.AdamW.weight_decay=0.1"],
            "; set optim.SGD.weight_decay",
        ),
        (
            [*MAE, "-b", "Trainer.optimizer=None", "-b", "optim.AdamW.rate=0.1"],
            "remove it, or use its component",
        ),
        ([*CAPI, "-b", "studnet/schedule.Cosine.peak=1.0"], "uses it; did you mean student?"),
        ([*MAE, "-b", "fine/encoders.ViT.depth=3"], "uses it; set encoders.ViT.depth"),
        (
            [*CAPI, "-b", "schedule.Cosine.peak=1.0"],
            "schedule.Cosine.peak: every schedule.Cosine in use has a value of its own; "
            "set clusters/schedule.Cosine.peak or momentum/schedule.Cosine.peak or "
            "student/schedule.Cosine.peak",
        ),
        (
            [*MAE, "-b", "targets.Pixels.encoder=@encoders.ViT()"],
            "the caller of targets.Pixels sets it; remove it",
        ),
    ],
)
def test_a_binding_without_effect_is_refused(words, message, capsys, tmp_path):
    assert message in refusal([*words, "--mode", "explain"], capsys, tmp_path)


def test_resuming_by_the_folder_alone_refuses_it_too(capsys, tmp_path):
    (tmp_path / "config.gin").write_text(config.load(["gin/mae.gin"], [BLOCKS[1]]))
    assert main(["--workdir", str(tmp_path), "--mode", "eval", "-b", "RATIO=0.9"]) == 2
    assert "RATIO is read by masks.Uniform, which this" in capsys.readouterr().err


def test_an_argument_set_by_the_caller_cannot_be_bound(capsys, tmp_path):
    shown = refusal([*MAE, "-b", "data.Loader.batch=3"], capsys, tmp_path)
    assert shown.endswith("data.Loader.batch: nothing in this configuration uses it: "
        "the caller of data.Loader sets it; set train.Trainer.batch")  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        [*HPM, "-b", "EPOCHS=3"],  # by a schedule, in a scope
        [*CAPI, "-b", "student/schedule.Cosine.peak=1.0"],
        [*CAPI, "-b", "schedule.Cosine.warmup=0.2"],  # by three scopes, none of which has its own
        [
            *MAE,
            "-b",
            "evaluate.Evaluation.test_images=100",
        ],  # by what --mode explain does not build
        [*MAE, "-b", "probes.FineTune.steps=3", "-b", "DATA=digits-plain", "-b", "WORKERS=0"],
        [*MAE, "-b", "NEW=0.3", "-b", "RATIO=%NEW"],  # a macro that another reads
        ["--gin", "gin/deepcluster.gin", "-b", "DIM=32", "-b", "TRUNK=@encoders.ViT()"],
        ["--gin", "gin/mae_video.gin", "-b", "data.Clip.frames=8"],  # by a macro's component
    ],
)
def test_a_binding_with_an_effect_is_not_refused(words, tmp_path, capsys):
    assert main([*words, "--mode", "explain", "--workdir", str(tmp_path)]) == 0
    assert not capsys.readouterr().err


def test_a_file_may_define_macros_for_others(tmp_path):
    (tmp_path / "mine.gin").write_text("include 'mae.gin'\nOTHERS = 3\n")
    assert (
        main(["--gin", str(tmp_path / "mine.gin"), "--mode", "explain", "--workdir", str(tmp_path)])
        == 0
    )


def test_a_file_s_macro_in_a_scope_is_refused(capsys, tmp_path):
    words = file_of(tmp_path, "fine/RATIO = 0.3")
    assert (
        "fine/RATIO: a macro has no scope; bind the argument that reads it in that scope"
        in refusal(words, capsys, tmp_path)
    )


def test_a_files_binding_of_a_replaced_part_is_allowed(tmp_path):
    assert main([*MAE, *BLOCKS, "--mode", "explain", "--workdir", str(tmp_path)]) == 0


@pytest.mark.parametrize("mode", ["train", "explain"])
def test_a_constructor_does_not_inherit_the_scope(mode, capsys, tmp_path):
    words = file_of(tmp_path, "fine/method.Objective.target = @targets.Pixels",
        "fine/targets.Pixels.normalise = 'none'")  # fmt: skip
    shown = refusal([*words, "--mode", mode], capsys, tmp_path)
    assert shown.endswith("fine/targets.Pixels.normalise: nothing in this configuration uses it: "
        "a constructor does not inherit the scope; write @fine/targets.Pixels")  # fmt: skip


def test_a_macro_s_object_does_not_inherit_the_scope(capsys, tmp_path):
    words = file_of(tmp_path, "LOSS = @losses.CrossEntropy()", "fine/method.Objective.loss = %LOSS",
        "fine/losses.CrossEntropy.temperature = 0.3")  # fmt: skip
    shown = refusal([*words, "--mode", "explain"], capsys, tmp_path)
    assert shown.endswith(
        "what a macro holds does not inherit the scope; write @fine/losses.CrossEntropy()"
    )


def test_a_constructor_with_its_scope_takes_that_scope_s_values(tmp_path, capsys):
    words = file_of(tmp_path, "fine/method.Objective.target = @fine/targets.Pixels",
        "fine/targets.Pixels.normalise = 'none'")  # fmt: skip
    assert main([*words, "--mode", "explain", "--workdir", str(tmp_path)]) == 0
    assert "fine/Pixels" in capsys.readouterr().out
    method = config.build("train.Trainer", "method")
    assert [objective.target.normalise for objective in method.objectives] == ["patch", "none"]


def test_a_constructor_called_by_a_scoped_one_inherits_the_scope(tmp_path, capsys):
    """The constructor of `of` is called within fine/targets.Mapped, and so in that scope."""
    words = file_of(
        tmp_path,
        "fine/method.Objective.target = @fine/targets.Mapped",
        "targets.Mapped.of = @targets.Pixels",
        "fine/targets.Pixels.normalise = 'none'",
    )
    assert main([*words, "--mode", "explain", "--workdir", str(tmp_path)]) == 0
    assert "fine/Pixels" in capsys.readouterr().out
    method = config.build("train.Trainer", "method")
    assert method.objectives[1].target.of.normalise == "none"


def test_a_repeated_binding_is_reported(tmp_path, capsys):
    words = [
        *MAE,
        "-b",
        "RATIO=0.5",
        "-b",
        "ViT.depth=2",
        "-b",
        "RATIO=0.6",
        "-b",
        "encoders.ViT.depth=3",
    ]
    assert main([*words, "--mode", "explain", "--workdir", str(tmp_path)]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "config: -b 'RATIO=0.5' has no effect: -b 'RATIO=0.6' binds the same",
        "config: -b 'ViT.depth=2' has no effect: -b 'encoders.ViT.depth=3' binds the same",
    ]


def test_the_same_binding_twice_is_not_reported(tmp_path, capsys):
    words = [*MAE, "-b", "RATIO=0.5", "-b", "RATIO=0.5", "--mode", "explain"]
    assert main([*words, "--workdir", str(tmp_path)]) == 0
    assert not capsys.readouterr().err


def test_two_components_with_one_name_are_distinct(capsys, tmp_path):
    """probes.Assigned is used, targets.Assigned is not."""
    words = ["--gin", "gin/scan.gin", "-b", "targets.Assigned.clusters=10", "--mode", "explain"]
    shown = refusal(words, capsys, tmp_path)
    assert "targets.Assigned.clusters: nothing in this configuration uses it" in shown
