"""The web server needs nothing of the worker's packages."""

import subprocess
import sys
from pathlib import Path

from prunescope.jobs.settings import Settings
from prunescope.store.submission import Stores
from tests.store.studies.made_up_study import MadeUpStudy, make_up_study

ROOT = Path(__file__).parents[2]
CODE = """
import sys
for name in ("scipy", "torch", "transformers", "lm_eval"):
    sys.modules[name] = None  # an import of it fails, as where it is not installed
from pathlib import Path
from starlette.testclient import TestClient
from prunescope.jobs.settings import Settings
from prunescope.server.app import create_app

home, study, evaluation = Path(sys.argv[1]), *sys.argv[2:]
app = create_app(Settings(home=home, redis_url=f"unix://{home}/nobody.sock"))
with TestClient(app, base_url="http://localhost") as client:
    table = client.get(f"/api/v1/studies/{study}?rows=task&columns=calibration").json()["table"]
    cell = table["rows"][0]["cells"][0]
    assert cell["done"] == 2 and table["tested"] == 8, table
    assert client.get(f"/studies/{study}").status_code == 200
    assert client.get(f"/evaluations/{evaluation}").status_code == 200
"""


def test_a_study_is_shown_without_them(tmp_path: Path) -> None:
    stores = Stores.open(Settings(home=tmp_path))
    stores.database.migrate()
    study = make_up_study(stores, MadeUpStudy(models=1, methods=1, calibrations=2, tasks=2, patterns=2))
    evaluation = stores.results.list("evaluation", limit=1)[0][0].id
    stores.close()
    command = [sys.executable, "-c", CODE, str(tmp_path), study, evaluation]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
