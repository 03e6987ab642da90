"""The keys: what belongs together, what is refused, and the published values."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from quadrat_studies.etrm.config import DECODER_KEYS, ENCODER_KEYS, ArchConfig, Config


def test_the_feed_forward_width_follows_the_published_rule():
    assert ArchConfig(hidden_size=512, num_heads=8, expansion_multiple=256).feed_forward == 1536
    assert ArchConfig(expansion_multiple=256).feed_forward == 256
    assert ArchConfig().feed_forward == 192


def test_the_gain_of_the_context_is_the_root_of_the_width_unless_given():
    assert ArchConfig().gain == 8.0
    assert ArchConfig(context_gain=1.0).gain == 1.0


@pytest.mark.parametrize(
    ("arch", "said"),
    [
        ({"hidden_size": 66}, "multiple of num_heads"),
        ({"hidden_size": 24, "num_heads": 4}, "multiple of 4"),
        ({"encoder_type": "lpn", "encoder_set_layers": 2}, "lpn does not read it"),
        ({"encoder_type": "hybrid", "encoder_pooling_method": "max"}, "hybrid does not read it"),
        ({"encoder_type": "cross_attention", "encoder_pooling_method": "max"}, "does not read it"),
        ({"encoder_blend": 0.1}, "standard does not read it"),
        ({"kl_weight": 0.1}, "standard does not read it"),
        ({"conditioning": "embedding_table", "fault": "collapsed"}, "embedding_table does not read it"),
        ({"conditioning": "embedding_table", "context_mode": "cached"}, "embedding_table does not read it"),
    ],
)
def test_what_would_change_nothing_is_refused(arch, said):
    with pytest.raises(ValidationError, match=said):
        ArchConfig.model_validate(arch)


def test_every_encoder_takes_the_keys_it_reads():
    changed = {
        "encoder_num_layers": 3, "encoder_set_layers": 2, "encoder_pooling_method": "max", "encoder_norm_style": "pre",
        "encoder_refinement_steps": 2, "encoder_blend": 0.1, "kl_weight": 0.1, "context_mode": "cached",
        "fault": "collapsed",
    }  # fmt: skip
    assert set(changed) == set(ENCODER_KEYS)
    for key, readers in ENCODER_KEYS.items():
        for encoder in readers:
            assert getattr(ArchConfig.model_validate({"encoder_type": encoder, key: changed[key]}), key) == changed[key]


def test_keys_are_known_and_the_decoders_are_among_them():
    assert set(DECODER_KEYS) <= set(ArchConfig.model_fields)
    with pytest.raises(ValidationError, match="lpn_latent_dim"):
        ArchConfig.model_validate({"lpn_latent_dim": 512})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "knows no task it has not trained on"),
        ({"evaluation": {"on": "train", "refine_steps": 1}}, "about an encoder"),
        ({"evaluation": {"on": "train"}, "training": {"load_pretrained_decoder": "x"}}, "about an encoder"),
        ({"evaluation": {"on": "train"}, "training": {"dihedral": True}}, "embedding_augmentations"),
    ],
)
def test_an_embedding_table_is_not_asked_for_what_it_cannot_do(values, said):
    with pytest.raises(ValidationError, match=said):
        Config.model_validate({"arch": {"conditioning": "embedding_table"}, **values})
