from models.openmp import wait_briefly

wait_briefly()

from models.evaluation.command import main  # noqa: E402  it loads torch

main()
