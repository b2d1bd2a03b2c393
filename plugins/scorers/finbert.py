"""`finbert`: a BERT for sequences with the labels positive, negative and neutral, by transformers."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plugins.scorers import Sentiment
from schemas.configuration import News
from schemas.errors import ConfigurationError

VERSION = "1"
LABELS = ("positive", "negative", "neutral")
CHARACTERS_A_TOKEN = 16
"""Of a text no more than this times `max_length` is given to the tokenizer: 1 MB would be cut all the same."""
FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "pytorch_model*.bin")


class Finbert:
    """Softmax (in float64) of the model's three outputs.

    Notes
    -----
    Of a text the first `news.max_length` tokens are read, the model's own marks included. Each text goes through the
    model by itself and without padding, in float32 on one thread: beside other texts, or padded, matrices have other
    shapes, sums another order, and the last bits differ (docs/news.md has the measurement). Bits may still differ
    between versions of torch and kinds of processor.

    References
    ----------
    D. Araci, FinBERT: Financial Sentiment Analysis with Pre-trained Language Models, 2019.
    """

    def __init__(self, model: Any, tokenizer: Any, settings: News, stamp: str) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._length = settings.max_length
        self._order = _order(settings.model, model.config.id2label)
        self.stamp = stamp

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Sentiment:
        import torch

        read = text[: CHARACTERS_A_TOKEN * self._length]
        tokens = self._tokenizer(read, truncation=True, max_length=self._length, return_overflowing_tokens=True)
        pieces = tokens["input_ids"]
        with torch.inference_mode():
            logits = self._model(torch.tensor(pieces[:1], device=self._model.device)).logits[0]
        scores = logits.double().cpu().numpy()[self._order]
        shares = np.exp(scores - scores.max())
        positive, negative, neutral = (shares / shares.sum()).tolist()
        return Sentiment(positive, negative, neutral, len(pieces) > 1 or len(read) < len(text))


def _order(model: str, labels: dict[int, str]) -> list[int]:
    places = {str(label).lower(): int(number) for number, label in labels.items()}
    if sorted(places) != sorted(LABELS):
        raise ConfigurationError(
            f"news.model {model}: its labels are {', '.join(sorted(places))}; a scorer's are {', '.join(LABELS)}"
        )
    return [places[label] for label in LABELS]


def open_scorer(settings: News) -> Finbert:
    try:
        import torch
        import transformers
    except ImportError:
        raise ConfigurationError(
            "news.scorer finbert needs torch and transformers, which are not installed; pip install 'alphawire[news]',"
            " or set news.scorer to lexicon or none"
        ) from None
    device = _device(settings.device)
    folder = _folder(settings.model)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        model, loading = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, use_fast=True)
    except Exception as error:  # of weights and tokenizers that are damaged it raises what its many parts raise
        reason = " ".join(str(error).split())[:300]
        raise ConfigurationError(f"news.model {settings.model} cannot be loaded from {folder}: {reason}") from None
    if loading["missing_keys"]:  # it would fill them in at random
        absent = ", ".join(sorted(loading["missing_keys"])[:3])
        raise ConfigurationError(f"news.model {settings.model} is no trained classifier: its weights lack {absent}")
    if (tokens := 1 + max(tokenizer.get_vocab().values())) > model.config.vocab_size:
        raise ConfigurationError(
            f"news.model {settings.model}: its tokenizer knows {tokens} tokens, the model only"
            f" {model.config.vocab_size}; they do not belong together"
        )
    most = getattr(model.config, "max_position_embeddings", settings.max_length)
    if settings.max_length > most:
        raise ConfigurationError(f"news.max_length {settings.max_length} is beyond the {most} tokens of the model")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    stamp = f"finbert/{VERSION} {settings.max_length} tokens sha256:{_digest(folder)}"
    return Finbert(model.eval().to(device), tokenizer, settings, stamp)


def _device(wanted: str) -> str:
    import torch

    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ConfigurationError("news.device is cuda, and torch finds no such device; set it to auto or cpu")
    if wanted == "cpu" or not there:
        return "cpu"
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    return "cuda"


def _folder(name: str) -> Path:
    """The folder of that path, else of that name on the hub: as it was fetched before, else fetched now."""
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if name.count("/") != 1 or name.startswith((".", "~", "/")):
        raise ConfigurationError(f"news.model: there is no folder {name}; name one, or a model of the hub (OWNER/NAME)")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    mend = "copy its folder here and name it in news.model, or set news.scorer to lexicon or none"
    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES), local_files_only=True))
    except LocalEntryNotFoundError:
        pass  # not fetched yet
    except (OSError, HFValidationError) as error:
        reason = _in_a_line(error)
        raise ConfigurationError(f"news.model {name} cannot be read from what was fetched ({reason}); {mend}") from None
    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES), etag_timeout=10))
    except Exception as error:  # of the hub's client, of HTTP, of the network
        raise ConfigurationError(
            f"the weights of news.model {name} are not here and cannot be fetched ({_in_a_line(error)}); {mend}"
        ) from None


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _digest(folder: Path) -> str:
    """Over names and contents of the files that a score depends on."""
    files = sorted({file for pattern in FILES for file in folder.glob(pattern)})
    parts = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            parts.update(f"{file.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return parts.hexdigest()
