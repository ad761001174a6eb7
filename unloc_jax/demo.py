"""A page to try a model on: a video, sentences, a timeline.

    python -m unloc_jax.demo --export=DIR --examples=FOLDER_OF_VIDEOS

Needs the extra [demo]. Served on 127.0.0.1 unless told otherwise.
"""

import sys
from collections.abc import Sequence

from unloc_jax.config.parser import Parser
from unloc_jax.parallel.compilation_cache import keep_programs
from unloc_jax.use import page
from unloc_jax.use.console import fault
from unloc_jax.use.questions import checked_count, checked_seconds


def main(argv: Sequence[str] | None = None) -> None:
  """Serves the page until interrupted."""
  parser = Parser(__doc__, "unloc_jax.demo")
  add = parser.add_argument
  add("--export", required=True, help="folder of the exported model")
  add("--examples", help="folder of videos to pick from")
  add("--host", default="127.0.0.1", help="address to serve on (127.0.0.1)")
  add("--port", type=int, default=7860)
  add("--max_megabytes", type=int, default=200, help="of an upload")
  add("--max_seconds", type=float, default=30.0, help="to read a video")
  flags = parser.parse_args(argv)
  keep_programs()
  try:
    checked_seconds(flags.max_seconds, "--max_seconds")
    checked_count(flags.max_megabytes, "--max_megabytes")
    if not 0 <= flags.port < 1 << 16:
      raise ValueError(f"--port {flags.port}: from 0 to 65535")
    page.serve(**vars(flags))
  except (ValueError, OSError) as error:
    sys.exit(f"error: {fault(error)}")
  except ImportError as error:
    sys.exit(f"error: {fault(error)}; pip install 'unloc_jax[demo]'")


if __name__ == "__main__":
  main()
