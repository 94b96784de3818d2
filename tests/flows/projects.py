"""Two small DVC projects in the shapes that public repositories have; nothing of ours is imported in them.

A text classifier as in DVC's own example (prepare, featurize, train, evaluate, with metrics and plots), and a matrix
of models that uses what dvc.yaml offers besides.
"""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

PYTHON = sys.executable


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))


def dvc(root: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-m", "dvc", *arguments], cwd=root, capture_output=True, text=True, check=check, env=os.environ
    )


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A Tester", "-c", "user.email=tester@example.org"]
    return subprocess.run(["git", *who, *arguments], cwd=root, capture_output=True, text=True, check=True).stdout


def init(root: Path) -> None:
    """Make a git and DVC repository of `root`."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "-q")
    dvc(root, "init", "-q")
    dvc(root, "config", "core.analytics", "false")


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "the project")


def text_classifier(root: Path) -> Path:
    """A scikit-learn text classifier, in the shape of DVC's own example; each stage takes a few seconds."""
    init(root)
    write(
        root,
        {
            "params.yaml": """
                prepare: {split: 0.25, seed: 7}
                featurize: {max_features: 200, ngrams: 1}
                train: {C: 1.0, seed: 7}
            """,
            "dvc.yaml": f"""
                vars: [python: {PYTHON}]
                stages:
                  prepare:
                    cmd: ${{python}} src/prepare.py data/raw.tsv data/prepared
                    deps: [src/prepare.py, data/raw.tsv]
                    params: [prepare]
                    outs: [data/prepared]
                  featurize:
                    cmd: ${{python}} src/featurize.py data/prepared data/features
                    deps: [src/featurize.py, data/prepared]
                    params: [featurize.max_features, featurize.ngrams]
                    outs: [data/features]
                  train:
                    cmd: ${{python}} src/train.py data/features model.joblib
                    deps: [src/train.py, data/features]
                    params: [train]
                    outs: [model.joblib]
                  evaluate:
                    cmd: ${{python}} src/evaluate.py model.joblib data/features eval
                    deps: [src/evaluate.py, model.joblib, data/features]
                    metrics:
                    - eval/metrics.json: {{cache: false}}
                    plots:
                    - eval/roc.csv: {{x: fpr, y: tpr}}
            """,
            "src/prepare.py": """
                import random, sys
                from pathlib import Path
                import yaml
                raw, out = Path(sys.argv[1]), Path(sys.argv[2])
                params = yaml.safe_load(open("params.yaml"))["prepare"]
                rows = raw.read_text().splitlines()
                random.Random(params["seed"]).shuffle(rows)
                cut = int(len(rows) * params["split"])
                out.mkdir(parents=True, exist_ok=True)
                (out / "test.tsv").write_text("\\n".join(rows[:cut]) + "\\n")
                (out / "train.tsv").write_text("\\n".join(rows[cut:]) + "\\n")
                print("prepared", len(rows), "rows")
            """,
            "src/featurize.py": """
                import sys
                from pathlib import Path
                import joblib, yaml
                from sklearn.feature_extraction.text import TfidfVectorizer
                prepared, out = Path(sys.argv[1]), Path(sys.argv[2])
                params = yaml.safe_load(open("params.yaml"))["featurize"]
                split = lambda path: list(zip(*(line.split("\\t") for line in path.read_text().splitlines())))
                labels, texts = split(prepared / "train.tsv")
                vectors = TfidfVectorizer(max_features=params["max_features"], ngram_range=(1, params["ngrams"]))
                out.mkdir(parents=True, exist_ok=True)
                joblib.dump((vectors.fit_transform(texts), labels), out / "train.joblib")
                labels, texts = split(prepared / "test.tsv")
                joblib.dump((vectors.transform(texts), labels), out / "test.joblib")
            """,
            "src/train.py": """
                import sys
                import joblib, yaml
                from sklearn.linear_model import LogisticRegression
                params = yaml.safe_load(open("params.yaml"))["train"]
                x, y = joblib.load(sys.argv[1] + "/train.joblib")
                joblib.dump(LogisticRegression(C=params["C"], random_state=params["seed"]).fit(x, y), sys.argv[2])
            """,
            "src/evaluate.py": """
                import json, sys
                from pathlib import Path
                import joblib
                from sklearn.metrics import accuracy_score, roc_auc_score, roc_curve
                model, features, out = joblib.load(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
                x, y = joblib.load(features + "/test.joblib")
                score = model.predict_proba(x)[:, 1]
                truth = [label == model.classes_[1] for label in y]
                out.mkdir(exist_ok=True)
                fpr, tpr, _ = roc_curve(truth, score)
                rows = ["fpr,tpr"] + [f"{a},{b}" for a, b in zip(fpr, tpr)]
                (out / "roc.csv").write_text("\\n".join(rows) + "\\n")
                accuracy = accuracy_score(y, model.predict(x))
                metrics = {"accuracy": accuracy, "auc": roc_auc_score(truth, score)}
                (out / "metrics.json").write_text(json.dumps({"test": metrics}))
            """,
        },
    )
    weather = ["rain falls over the valley", "the sun burns on the hills", "snow and wind all night", "a cloud of fog"]
    mills = [
        "the wheel turns the stone",
        "grain is ground to flour",
        "the miller opens the gate",
        "gears of oak and iron",
    ]
    ends = ["today", "at dawn", "in spring", "for hours", "again", "slowly", "by the river", "every year"]
    rows = [
        f"{label}\t{text} {end}"
        for label, texts in (("weather", weather), ("mill", mills))
        for text in texts
        for end in ends
    ]
    write(root, {"data/raw.tsv": "\n".join(rows) + "\n"})
    commit(root)
    return root


# A stage of the matrix project: joins its deps into its out. `knobs.json`, which is no dep, makes it slow or fail.
TOOL = """
    import json, os, subprocess, sys, time
    from pathlib import Path
    stage, root = os.environ["DVC_STAGE"], Path(os.environ["DVC_ROOT"])
    begun = time.time()
    knobs_file = root / "knobs.json"
    knobs = json.loads(knobs_file.read_text()).get(stage, {}) if knobs_file.exists() else {}
    print("working on", stage, flush=True)
    if "leaves" in knobs:  # a process in a session of its own, which holds this one's output open
        subprocess.Popen(["sleep", str(knobs["leaves"])], start_new_session=True)
    if "meets" in knobs:  # goes on only if both run at the same time
        (root / f"here-{stage}").touch()
        until = time.time() + 60
        while not (root / f"here-{knobs['meets']}").exists():
            if time.time() > until:
                sys.exit(f"{knobs['meets']} never came")
            time.sleep(0.02)
    until = begun + knobs.get("seconds", 0)
    while time.time() < until:
        time.sleep(0.02)
    tried = root / "journal.txt"
    with tried.open("a") as journal:
        journal.write(f"{stage} {begun} {time.time()}\\n")
    times = tried.read_text().count(f"{stage} ")
    if times <= knobs.get("fails", 0):
        print("no luck at try", times, flush=True)
        sys.exit(3)
    *read, out = sys.argv[1:]
    texts = [Path(path).read_text() for path in read]
    if out != "-":
        text = f"{Path(out).stem} of {len(texts)}\\n" if knobs.get("same") else "".join(texts) + out + "\\n"
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(json.dumps({"length": len(text)}) if out.endswith(".json") else text)
"""


def model_matrix(root: Path) -> Path:
    """A matrix of models over data sets, with most of what dvc.yaml offers; each stage takes no time of its own."""
    init(root)
    write(
        root,
        {
            "tool.py": TOOL,
            "raw.csv": "a,b\n1,2\n",
            "config.toml": "[data]\nrows = 4\n\n[unused]\nx = 1\n",
            "config.json": '{"compare": {"by": "length"}}\n',
            "settings.py": "TITLE = 'Models'\nUNUSED = 1\n",
            "baseline.txt": "made by hand\n",
            "dvc.yaml": f"""
                vars: [python: {PYTHON}]
                stages:
                  sample:
                    foreach: [small, large]
                    do:
                      cmd: ${{python}} tool.py raw.csv data/${{item}}.csv
                      deps: [raw.csv]
                      params: [{{config.toml: [data.rows]}}]
                      outs: ['data/${{item}}.csv']
                      meta: {{line: data}}
                  fit:
                    matrix: {{model: [ridge, tree], data: [small, large]}}
                    cmd: ${{python}} tool.py data/${{item.data}}.csv models/${{item.model}}-${{item.data}}.txt
                    deps: ['data/${{item.data}}.csv']
                    outs: ['models/${{item.model}}-${{item.data}}.txt']
                    meta: {{line: models, limits: [gpu], retries: 1}}
                  compare:
                    cmd:
                    - ${{python}} tool.py models/ridge-small.txt models/tree-small.txt scores.json
                    - cat scores.json
                    deps: [models/ridge-small.txt, models/tree-small.txt]
                    params: [{{config.json: [compare.by]}}]
                    metrics: [{{scores.json: {{cache: false}}}}]
                  stamp:
                    cmd: ${{python}} tool.py stamp.txt
                    outs: [stamp.txt]
                    always_changed: true
                  baseline:
                    cmd: ${{python}} tool.py models/tree-large.txt baseline.txt
                    deps: [models/tree-large.txt]
                    outs: [baseline.txt]
                    frozen: true
                  announce:
                    cmd: ${{python}} tool.py scores.json baseline.txt -
                    deps: [scores.json, baseline.txt]
            """,
            "reports/dvc.yaml": f"""
                vars: [python: {PYTHON}]
                stages:
                  report:
                    cmd: ${{python}} tool.py scores.json stamp.txt reports/report.md
                    wdir: ..
                    deps: [scores.json, stamp.txt]
                    params: [{{settings.py: [TITLE]}}]
                    outs: [reports/report.md]
                  local:
                    cmd: ${{python}} ../tool.py ../raw.csv local.txt
                    deps: [../raw.csv]
                    outs: [local.txt]
            """,
        },
    )
    dvc(root, "add", "-q", "raw.csv")
    write(root, {"models/tree-large.txt": "an older model\n"})  # what the frozen stage was made from
    dvc(root, "commit", "-q", "-f", "baseline")
    (root / "models/tree-large.txt").unlink()
    commit(root)
    return root


def set_knobs(root: Path, knobs: dict[str, dict[str, object]]) -> None:
    """Say how stages of the matrix project behave: see TOOL."""
    (root / "knobs.json").write_text(json.dumps(knobs))


def journal(root: Path) -> list[tuple[str, float, float]]:
    """Return (stage, begun, ended) of each time that a stage of the matrix project ran, in the order of their ends."""
    path = root / "journal.txt"
    rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(stage, float(begun), float(ended)) for stage, begun, ended in rows]
