"""A gin file may name only certain things without --trust; nothing else runs, by any statement."""

import importlib
import inspect
import sys

import pytest
from torch import nn

import pymim.compare
import pymim.data.workers
from pymim import config
from pymim.config import names, trust
from pymim.errors import ConfigError
from pymim.run import main

HEADER = "from __gin__ import dynamic_registration\n"
REFUSED = {  # what stands behind the header: what is said of it
    "import os": "import os",
    "import os.path as masks": "import os.path",
    "from pymim import run": "import pymim.run",
    "import pymim.compare": "import pymim.compare",
    "import pymim.bench.__main__": "import pymim.bench.__main__",
    "import torch.utils.cpp_extension": "import torch.utils.cpp_extension",
    "import pymim\nM = @pymim.compare.subprocess.Popen()": "pymim.compare.subprocess.Popen",
    "import pymim\nM = @pymim.run.main": "pymim.run.main",
    "import pymim\npymim.config.files.os.system.command = 'true'": "pymim.config.files.os.system",
    "from pymim import data\nM = @data.opening.Path": "data.opening.Path",
    "from pymim import data\nM = @data.array.np.load()": "data.array.np.load",
    "from pymim import data\nM = @data.__loader__.get_data": "data.__loader__.get_data",
    "from pymim import draw\nM = @draw.image.save": "draw.image.save",
    "from pymim import masks\nM = @masks.Uniform.__init__": "masks.Uniform.__init__",
    "from pymim import masks\nM = @masks.Uniform.__init__.__globals__": (
        "masks.Uniform.__init__.__globals__"
    ),
    "from pymim import stages\nM = @stages.load": "stages.load",
    "from pymim import data\nM = @data.workers.pickle.loads": "data.workers.pickle.loads",
    "from pymim import train\nM = @train.torch.load": "train.torch.load",
    "import torch\nM = @torch.load()": "torch.load",
    "import torch\nM = @torch.hub.load": "torch.hub.load",
    "from torch import nn\nM = @nn.modules.module.torch.hub.load": (
        "nn.modules.module.torch.hub.load"
    ),
    "from torch import nn\nM = @nn.functional.relu": "nn.functional.relu",
    "M = @gin.macro.__class__": "gin.macro.__class__",
    "from gin import config\nM = @config.parse_config": "config.parse_config",
    "from gin import config\nM = @config.os.system": "config.os.system",
    "M = @gin.macro.__globals__": "gin.macro.__globals__",
    "import pymim\nM = (1, {'a': [@a/pymim.stages.os.system]})": "pymim.stages.os.system",
}
ALLOWED = {
    "from pymim import masks\nM = @masks.Uniform()": "masks.Uniform",
    "import pymim.masks\nM = @pymim.masks.uniform.Uniform": "Uniform",
    "from pymim import data\nM = @data.measured": "data.measured",
    "from pymim import layers\nM = 1": "M = 1",
    "from torch import nn\nM = @nn.GELU": "nn.GELU",
    "import torch\nM = @torch.nn.Linear": "torch.nn.Linear",
    "from pymim import data\nM = @a/gin.singleton\na/gin.singleton.constructor = @data.Digits": (
        "a/config.single"
    ),
}


@pytest.fixture
def gin_file(tmp_path):
    def write(text, name="theirs.gin"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize("text", REFUSED)
def test_a_name_that_is_no_component_is_refused(text, gin_file):
    with pytest.raises(ConfigError) as refused:
        config.load([gin_file(HEADER + text)])
    printed = str(refused.value)
    assert (
        f": {REFUSED[text]}: expected a " in printed
        and "add --trust" in printed
        and "\n" not in printed
    )


def test_the_file_that_has_it_is_named(gin_file):
    gin_file(HEADER + "from pymim import masks\nimport os\n")
    with pytest.raises(ConfigError, match=r"outer.gin: import os: .*theirs.gin, line 3\)$"):
        config.load([gin_file("include 'theirs.gin'", "outer.gin")])


@pytest.mark.parametrize("text", ALLOWED)
def test_components_may_be_named(text, gin_file):
    written = config.load([gin_file(HEADER + text)])
    assert ALLOWED[text] in written and config.load([gin_file(written)]) == written


@pytest.mark.parametrize("text", ["import os\nM = 1", "import os.path", "include 'os.gin'"])
def test_an_import_without_registration_is_checked_too(text, gin_file):
    gin_file("import os\n", "os.gin")
    with pytest.raises(ConfigError, match=r"import os.*: expected a module .*add --trust"):
        config.load([gin_file(text)])


def test_a_module_is_refused_before_it_runs(gin_file, tmp_path, monkeypatch):
    (tmp_path / "beside_it.py").write_text(
        f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\ndef one(): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    file = gin_file(f"{HEADER}import beside_it\nM = @beside_it.one\n")
    with pytest.raises(ConfigError, match="import beside_it: expected a module"):
        config.load([file])
    assert "beside_it" not in sys.modules and not (tmp_path / "ran").exists()
    with config.trusting():
        assert "beside_it.one" in config.load([file])
        assert config.trust_flag() == ["--trust"]
    assert (tmp_path / "ran").exists() and config.trust_flag() == []
    with pytest.raises(ConfigError, match="import beside_it"):  # it was trusted then
        config.load([file])


def test_a_message_imports_nothing(gin_file, tmp_path, monkeypatch):
    """A name that is not found is searched for in the module that the message names."""
    (tmp_path / "named_by_them.py").write_text("raise SystemExit('ran')")
    monkeypatch.syspath_prepend(tmp_path)
    from pymim.config.messages import explain

    explain(
        AttributeError("Couldn't resolve selector a.B; <module 'named_by_them'> has no attribute B")
    )
    assert "named_by_them" not in sys.modules


EVIL = HEADER + "import os\nM = @os.mkdir()\nos.mkdir.path = {made!r}\ntrain.Trainer.steps = %M\n"
SAID = "import os: expected a module of pymim or of torch.nn, got another"


@pytest.mark.parametrize("mode", ["train", "eval", "draw", "explain"])
@pytest.mark.parametrize("of_a_run", [False, True])
def test_no_mode_runs_untrusted_code(mode, of_a_run, gin_file, tmp_path, capsys):
    made = tmp_path / "made"
    file = gin_file("include 'mae.gin'\n" + EVIL.format(made=str(made)), "config.gin")
    given = ["--workdir", str(tmp_path), "--resume", "auto"] if of_a_run else ["--gin", file]
    if of_a_run and mode == "explain":
        given = ["--gin", file, "--workdir", str(tmp_path)]
    assert main(["--mode", mode, *given]) == 2
    assert SAID in capsys.readouterr().err and not made.exists()


def test_an_export_runs_no_untrusted_code(gin_file, tmp_path, capsys):
    made = tmp_path / "made"
    gin_file("include 'mae.gin'\n" + EVIL.format(made=str(made)), "config.gin")
    assert main(["export", str(tmp_path), "--to", str(tmp_path / "to")]) == 2
    assert SAID in capsys.readouterr().err and not made.exists()


def test_a_stage_runs_no_untrusted_code(gin_file, tmp_path, capfd):
    made = tmp_path / "made"
    inner = gin_file("include 'mae.gin'\n" + EVIL.format(made=str(made)), "inner.gin")
    outer = f"include 'mae.gin'\nSTAGES = ({inner!r},)\nSTAGE_1 = None\nSTART = %STAGE_1\n"
    assert main(["--gin", gin_file(outer), "--workdir", str(tmp_path / "run")]) == 2
    assert SAID in capfd.readouterr().err and not made.exists()


def test_what_is_offered_is_defined_by_pymim():
    """Every name of every package: its own classes, and no function of another's."""
    offered = set()
    for package in names.offering():
        module = importlib.import_module(f"pymim.{package}")
        for name in [name for name in vars(module) if trust.offers(vars(module)[name])]:
            found = vars(module)[name]
            assert found.__module__.startswith("pymim."), name
            if not inspect.isclass(found):
                offered.add(name)
    assert offered == {"describe", "load", "measured", "memberships", "open", "visible_count"}
    assert (
        trust.offers(nn.Conv2d)
        and not trust.offers(nn.functional.conv2d)
        and not trust.offers(pymim)
    )
