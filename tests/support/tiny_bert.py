"""A BERT of three labels that is built and saved here: the loading of a real one, in half a second."""

from pathlib import Path

WORDS = [
    "profit",
    "loss",
    "rises",
    "falls",
    "great",
    "awful",
    "results",
    "bank",
    "the",
    "of",
    "a",
    "and",
    "after",
    "new",
]
WORDS += ["record", "cut", "##s", "##ing"]
LABELS = ("Positive", "negative", "neutral")


def save_tiny_bert(folder: Path, labels: tuple[str, ...] = LABELS, base: bool = False, **size: int) -> Path:
    """Its folder: weights (from a seed), configuration, tokenizer; with `base` without the classifier's weights; `size`
    changes what BertConfig is given.
    """
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [mark + sign for sign in "abcdefghijklmnopqrstuvwxyz0123456789.,$%!?'" for mark in ("", "##")]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys([*special, *WORDS, *letters]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    torch.manual_seed(7)
    tiny = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    shape = tiny | {"vocab_size": len(vocabulary), "max_position_embeddings": 64} | size
    names = {"id2label": dict(enumerate(labels)), "label2id": {name: number for number, name in enumerate(labels)}}
    config = BertConfig(**shape, **names)
    model = BertModel(config) if base else BertForSequenceClassification(config)
    with torch.no_grad():  # else all scores are near a third
        for weights in model.parameters():
            weights.mul_(1.0 if size else 4.0)
    model.save_pretrained(folder)
    numbers = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    tokens = {f"{name}_token": special[number] for name, number in numbers.items()}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **tokens).save_pretrained(folder)
    return folder
