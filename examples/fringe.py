"""Scan the phase of user A on the simulated bench: half-wave voltage, visibility, and a picture."""

from heliograph import PhaseScan, open_bench, simulated_station

scan = PhaseScan(user="A", partner="B", points=31)
with open_bench(simulated_station("fringe-bench")) as bench:
    run = bench.run(scan)

fringe = scan.result
print(f"V_pi       = {fringe.v_pi_v:.3f} +- {fringe.v_pi_sigma_v:.3f} V")
print(f"visibility = {fringe.visibility:.4f} +- {fringe.visibility_sigma:.4f}")

run.plot().savefig("fringe.png")
print(f"See fringe.png; the data are in {run.path}")
