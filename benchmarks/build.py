"""The build at scale.

    python -m benchmarks.build [--videos 2000] [--workers 2]

Builds a dataset of short synthetic videos, kills it half-way and goes on.
Prints videos a second of decoding and of writing shards, the seconds that a
restart costs, the memory of all processes, and what Kinetics would take.
"""

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import av
import numpy as np
import psutil

KINETICS = 650_000
ROOT = pathlib.Path(__file__).parents[1]
VARIANTS = 8


def write_videos(folder: pathlib.Path, count: int, seconds: float) -> None:
  """Writes videos of 25 frames a second, 320 x 240, and says what they show."""
  rng = np.random.default_rng(0)
  lines = []
  for i in range(count):
    path = folder / f"{i}.mp4"
    if i >= VARIANTS:
      path.hardlink_to(folder / f"{i % VARIANTS}.mp4")
    else:
      wide = rng.integers(0, 255, (30, 40 + int(25 * seconds), 3), np.uint8)
      with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 320, 240
        for k in range(int(25 * seconds)):
          shown = wide[:, k : k + 40].repeat(8, 0).repeat(8, 1)
          frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
          container.mux(stream.encode(frame))
        container.mux(stream.encode())
    whole = {"start": 0, "end": seconds, "text": f"number {i}"}
    lines.append(json.dumps({"video": path.name, "segments": [whole]}))
  # One that is broken: with --max-missing=0 a build ends before its shards.
  (folder / "broken.mp4").write_text("no video")
  lines.append(json.dumps({"video": "broken.mp4", "segments": [whole]}))
  (folder / "train.jsonl").write_text("\n".join(lines))
  (folder / "one.jsonl").write_text(lines[-1])


def run(flags: list[str], kill_at: int = 0) -> tuple[float, int, int]:
  """Runs the command, to its end or until so many videos are decoded.

  Returns:
    Seconds; MiB of its largest process; MiB of all its processes at once.
  """
  (out,) = (f.split("=")[1] for f in flags if f.startswith("--data_dir"))
  done = pathlib.Path(out) / "custom" / "1.0.0.partial"
  command = [sys.executable, "-m", "data_preprocessing.build", *flags]
  start, largest, total = time.perf_counter(), 0, 0
  quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
  with subprocess.Popen(command, cwd=ROOT, **quiet) as one:
    while one.poll() is None:
      time.sleep(0.1)
      sizes = [0]
      with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(one.pid)
        for process in (root, *root.children(recursive=True)):
          sizes.append(process.memory_info().rss >> 20)
      largest, total = max(largest, *sizes), max(total, sum(sizes))
      if kill_at and len(list(done.glob("??/*.json"))) >= kill_at:
        one.kill()
  return time.perf_counter() - start, largest, total


def main() -> None:
  """Runs the benchmark and prints what it found."""
  flags = argparse.ArgumentParser(description="The build at scale.")
  flags.add_argument("--videos", type=int, default=2000)
  flags.add_argument("--seconds", type=float, default=10.0)
  flags.add_argument("--workers", type=int, default=2)
  flags.add_argument("--beam", default="", help="as of the build")
  args = flags.parse_args()
  count = args.videos
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    write_videos(folder, count, args.seconds)
    common = [f"--videos={folder}", f"--workers={args.workers}"]
    common += [f"--beam={args.beam}", "--dataset=custom"]
    one, every = (
      [*common, f"--annotations={folder}/{n}.jsonl", f"--data_dir={folder}/{n}"]
      for n in ("one", "train")
    )
    strict = "--max-missing=0"
    start, *_ = run([*one, strict])
    half, *_ = run(every, kill_at=count // 2)
    rest, *decoding_took = run([*every, strict])
    again, *_ = run([*every, strict])
    whole, *writing_took = run(every)
    size = sum(p.stat().st_size for p in folder.glob("train/custom/1.0.0/*"))
  decoding = (half + rest - 2 * start) / count
  finding = max(0.0, again - start) / count
  writing = max(1e-6, whole - again) / count
  print(f"{count} videos of {args.seconds:g} s, {args.workers} workers:")
  print(f"  {start:.1f} s for a build of nothing")
  print(f"  {1 / decoding:.1f} videos/s decoded, {1 / writing:.1f} written")
  print(f"  {again:.1f} s for a restart when all are decoded")
  for what, most in ("decoding", decoding_took), ("writing", writing_took):
    print(f"  {most[0]} MiB the largest process, {most[1]} all, {what}")
  print(f"  {size >> 20} MiB the dataset")
  scale = KINETICS / count
  print(f"{KINETICS:,} such videos:")
  print(f"  {KINETICS * decoding / 3600:.1f} h to decode")
  print(f"  {KINETICS * writing / 3600:.1f} h to write")
  print(f"  {start + KINETICS * finding:.0f} s for a restart")
  print(f"  {scale * size / 2**40:.2f} TiB, twice that at work")


if __name__ == "__main__":
  main()
