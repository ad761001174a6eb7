"""What a run needs that is not there yet, and the commands that make it."""

import pathlib
import re

import ml_collections

_ANET = "http://activity-net.org/download.html"
# Dataset -> where its annotations and its videos are.
_SOURCES = {
  "anet_captions": (
    "https://cs.stanford.edu/people/ranjaykrishna/densevid/captions.zip",
    _ANET,
  ),
  "anet": (_ANET, _ANET),
  "charades_sta": (
    "https://github.com/jiyanggao/TALL",
    "https://prior.allenai.org/projects/charades",
  ),
  "qvhighlights": (
    "https://github.com/jayleicn/moment_detr/tree/main/data",
    "https://nlp.cs.unc.edu/data/jielei/qvh/qvhilights_videos.tar.gz",
  ),
  "coin": (
    "https://github.com/coin-dataset/annotations",
    "https://coin-dataset.github.io",
  ),
  "50salads": (
    "https://github.com/colincsl/TemporalConvolutionalNetworks",
    "https://cvip.computing.dundee.ac.uk/datasets/foodpreparation/50salads/",
  ),
} | {
  f"kinetics{n}": 2 * ("https://github.com/cvdfoundation/kinetics-dataset",)
  for n in (400, 600, 700)
}
_CLIP = "https://openaipublic.azureedge.net/clip/models"
# Weights -> their file, or the repository of the Hub that holds them.
_TOWERS = {
  "clip_b32": "openai/clip-vit-base-patch32",
  "clip_l14_336": "openai/clip-vit-large-patch14-336",
  "openclip_b32": "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
  "openclip_b16": "laion/CLIP-ViT-B-16-laion2B-s34B-b88K",
  "openclip_l14": "laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
  "openclip_h14": "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
  "openclip_g14": "laion/CLIP-ViT-g-14-laion2B-s34B-b88K",
  "siglip2_b16": "google/siglip2-base-patch16-224",
  "siglip2_b16_384": "google/siglip2-base-patch16-384",
  "siglip2_l16_256": "google/siglip2-large-patch16-256",
  "siglip2_so400m14": "google/siglip2-so400m-patch14-224",
  "siglip2_so400m14_384": "google/siglip2-so400m-patch14-384",
  "pe_b16": "facebook/PE-Core-B16-224",
  "pe_l14_336": "facebook/PE-Core-L14-336",
  "clip_b16": (
    f"{_CLIP}/5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"
    "/ViT-B-16.pt"
  ),
  "clip_l14": (
    f"{_CLIP}/b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"
    "/ViT-L-14.pt"
  ),
}


def missing(name: str, config: ml_collections.ConfigDict) -> str:
  """One message of all that is missing, and how to get it; "" if nothing is.

  `name` is that of the config, as given.
  """
  data, weights = config.data.path, config.init.weights
  classes, sentences = config.text.class_embeddings, config.text.sentences
  embed = (
    f"python -m unloc_jax.embed_classes --config={name} "
    f"--config.data.path={data} --config.init.weights={weights} "
    f"--out={classes}"
  )
  encode = (
    "python -m data_preprocessing.sounds.extractor --yamnet YAMNET "
    f"--text_weights weights/minilm --out {pathlib.Path(sentences).parent}"
  )
  parts = [] if _is_there(data) else [_data(config)]
  for key, path, how in (
    ("init.weights", weights, _weights(weights, config)),
    ("text.class_embeddings", classes, embed),
    ("text.sentences", sentences, encode),
  ):
    if path and not _is_there(path):
      parts.append(f"{key}: {path} is not there\n  {how}")
  if parts:
    parts.append("nothing to download, at sizes of a laptop: add --demo_data")
  return "\n".join(parts)


def _is_there(path: str) -> bool:
  return bool(path) and ("://" in path or pathlib.Path(path).exists())


def _data(config: ml_collections.ConfigDict) -> str:
  path, more = config.data.path, ""
  if config.data.text_width:
    more = " --extract features --frame_rate RATE --texts TEXTS"
  dataset = pathlib.Path(path).parent.name if path else ""
  folder = pathlib.Path(path).parent.parent if dataset else "data"
  said = f"data.path: {path} is not there" if path else "data.path is empty"
  if dataset in _SOURCES:
    annotations, videos = _SOURCES[dataset]
    said += f"; annotations: {annotations} videos: {videos}"
  return (
    f"{said}\n  python -m data_preprocessing.build --dataset "
    f"{dataset or 'DATASET'} --annotations ANNOTATIONS --videos VIDEOS "
    f"--data_dir {folder}{more}"
  )


def _weights(path: str, config: ml_collections.ConfigDict) -> str:
  """Commands that make a folder of weights, or how to do without."""
  if ours := re.fullmatch(r"(runs/kinetics_pretrain-(\w+))/weights", path):
    return (
      "python -m unloc_jax.main --config=configs/kinetics_pretrain.py:"
      f"{ours[2]},fusion={config.model.fusion.kind} --workdir={ours[1]}"
    )
  convert = "python -m unloc_jax.weights --from"
  source = _TOWERS.get(pathlib.Path(path).name)
  if source is None:
    return f"{convert} FILE --to {path}"
  if "://" in source:
    convert = f"curl -LO {source}\n  {convert}"
    source = source.rpartition("/")[2]
  random = "or start from random weights: --config.init.weights="
  return f"{convert} {source} --to {path}\n  {random}"
