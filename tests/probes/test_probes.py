"""Each probe finds what is there, and finds nothing where nothing is."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from pymim.encoders import ViT
from pymim.optim import LARS
from pymim.probes import KNN, Attentive, Clusters, FineTune, Linear, LinearSGD, PatchKNN
from pymim.schedule import Constant


def blobs(spread, count=600, width=8, classes=4):
    random = torch.Generator().manual_seed(0)
    centres = torch.randn(classes, width, generator=random)
    labels = torch.arange(count) % classes
    features = centres[labels] + spread * torch.randn(count, width, generator=random)
    half = count // 2
    return features[:half], labels[:half], features[half:], labels[half:]


@pytest.mark.parametrize(
    "probe", [KNN(), Linear(), LinearSGD(rate=1.0, lars=False, batch=64, least=300)]
)
def test_separated_blobs_are_found_and_shuffled_labels_are_not(probe):
    train, labels, test, truth = blobs(0.1)
    assert probe(train, labels, test, truth) == 1.0
    wrong = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]
    assert probe(train, wrong, test, truth) < 0.6


def test_clusters_are_classes_where_these_lie_apart():
    train, labels, test, truth = blobs(0.1)
    assert Clusters()(train, labels, test, truth) == pytest.approx(
        {"nmi": 1, "ari": 1, "matched": 1}
    )
    assert Clusters()(train, labels.flip(0), test, truth)["nmi"] == pytest.approx(
        1
    )  # labels are not looked at
    twice = Clusters(clusters=8)(train, labels, test, truth)
    assert 0.5 < twice["nmi"] < 1 and twice["matched"] < 0.8
    noise = Clusters()(torch.randn(300, 8), labels, torch.randn(300, 8), truth)
    assert noise["nmi"] < 0.1 and abs(noise["ari"]) < 0.1 and noise["matched"] < 0.45


def test_linear_equals_scikit_learn():
    train, labels, test, truth = blobs(1.0)
    ours = Linear(strengths=(1e-3,))(train, labels, test, truth)
    mean, std = train.mean(0), train.std(0)
    theirs = LogisticRegression(C=1 / (1e-3 * len(train)), max_iter=1000)
    theirs.fit(((train - mean) / std).numpy(), labels.numpy())
    assert ours == pytest.approx(
        theirs.score(((test - mean) / std).numpy(), truth.numpy()), abs=0.01
    )


def test_neighbours_equal_scikit_learn_and_chunks_do_not_matter():
    train, labels, test, truth = blobs(1.0)
    ours = KNN(k=5, temperature=1e6)(train, labels, test, truth)
    theirs = KNeighborsClassifier(5, metric="cosine").fit(train.numpy(), labels.numpy())
    assert ours == pytest.approx(theirs.score(test.numpy(), truth.numpy()), abs=0.02)
    assert KNN(chunk=7)(train, labels, test, truth) == KNN()(train, labels, test, truth)


def test_attentive_probe_finds_what_one_token_says():
    train, labels, test, truth = blobs(0.1)
    tokens = [torch.stack([x, torch.zeros_like(x), torch.zeros_like(x)], 1) for x in (train, test)]
    probe = Attentive(rate=1e-2, epochs=40, batch=50, heads=2, least=1)
    assert probe(tokens[0], labels, tokens[1], truth) > 0.9
    wrong = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]
    assert probe(tokens[0], wrong, tokens[1], truth) < 0.6


def test_fine_tuning_learns_and_leaves_the_encoder_alone(device):
    encoder = ViT(16, 1, 2, image=8, patch=4).to(device)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    labels = torch.arange(80) % 2
    images = torch.randn(
        80, 3, 8, 8, generator=torch.Generator().manual_seed(0)
    ) * 0.1 + labels.view(-1, 1, 1, 1)
    assert (
        FineTune(labels_per_class=20, steps=40)(
            encoder, images[:40], labels[:40], images[40:], labels[40:]
        )
        > 0.9
    )
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize("frozen", [False, True])
def test_what_is_trained_is_everything_or_the_head(frozen, monkeypatch):
    encoder = ViT(16, 2, 2, image=8, patch=4, class_token=False, pool="mean")
    models = []
    original = FineTune._train
    monkeypatch.setattr(
        FineTune, "_train", lambda self, *given: models.append(original(self, *given)) or models[-1]
    )
    labels = torch.arange(40) % 2
    images = torch.randn(
        40, 3, 8, 8, generator=torch.Generator().manual_seed(0)
    ) * 0.1 + labels.view(-1, 1, 1, 1)
    probe = FineTune(steps=60, rate=1e-2, frozen=frozen)
    assert probe(encoder, images, labels, images, labels) > 0.9
    assert probe.name == ("head" if frozen else "finetune")
    (model,) = models
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    head = {"fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias"}
    assert trained == head if frozen else head < trained
    inside = dict((model.encoder.module if frozen else model.encoder).named_parameters())
    moved = {name for name, p in encoder.named_parameters() if not torch.equal(p, inside[name])}
    assert moved == (set() if frozen else inside.keys())
    if frozen:
        tokens = encoder(images).tokens.mean(1)  # no class token
        torch.testing.assert_close(model(images), model.head(model.fc_norm(tokens)))


def test_a_trust_ratio_scales_the_gradient_of_a_matrix():
    layer = torch.nn.Linear(2, 2, bias=False)
    torch.nn.init.constant_(layer.weight, 3.0)
    layer.weight.grad = torch.ones(2, 2)
    recipe = LARS(Constant(1.0))
    recipe.set(optimizer := recipe(layer), 0, 1, 256)
    optimizer.step()
    torch.testing.assert_close(layer.weight.grad, torch.full((2, 2), 0.003))
    torch.testing.assert_close(layer.weight.data, torch.full((2, 2), 2.997))


def test_patches_vote_for_their_image_or_for_themselves():
    train, labels, test, truth = blobs(0.1)
    bank, queries = (
        train.unflatten(0, (-1, 10)),
        test.unflatten(0, (-1, 10)),
    )  # images of ten patches
    named, wanted = labels.unflatten(0, (-1, 10)), truth.unflatten(0, (-1, 10))
    assert PatchKNN(k=3)(bank, named, queries, wanted) == 1.0
    assert PatchKNN(k=3)(bank, named, queries, (wanted + 1) % 4) == 0.0
    whole = train.view(-1, 4, 8).transpose(0, 1)[:, :60].reshape(12, 20, 8)  # images of one class
    classes = labels.view(-1, 4).T[:, :60].reshape(12, 20)[:, 0]
    assert PatchKNN(k=3, each=7)(whole, classes, whole + 0.01, classes) == 1.0


def test_patches_are_found_as_scikit_learn_finds_them():
    train, labels, test, truth = blobs(1.0)
    ours = PatchKNN(k=1, chunk=7)(train[:, None], labels[:, None], test[:, None], truth[:, None])
    theirs = KNeighborsClassifier(1, metric="cosine").fit(train.numpy(), labels.numpy())
    assert ours == pytest.approx(theirs.score(test.numpy(), truth.numpy()))


def test_the_papers_linear_probe_norms_without_affine_and_learns_its_head_alone():
    train, labels, *_ = blobs(0.1)
    norm, head = LinearSGD(rate=1.0, epochs=2, batch=64, least=1)._train(train, labels)
    assert norm.weight is None and norm.bias is None and norm.eps == 1e-6
    assert not torch.equal(norm.running_mean, torch.zeros(8)) and not torch.equal(
        norm.running_var, torch.ones(8)
    )
    assert {name for name, _ in head.named_parameters()} == {"weight", "bias"}


def test_the_papers_linear_probe_starts_from_small_normal_weights():
    wide = torch.randn(64, 4096, generator=torch.Generator().manual_seed(0))
    _, head = LinearSGD(rate=1e-9, epochs=1, least=1)._train(wide, torch.arange(64) % 4)
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.05) and not head.bias.any()
