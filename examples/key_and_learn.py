"""Make key for every pair of users, then spend it: three clients learn handwritten digits together, and nobody sees another's update."""

from heliograph import KeyExchange, Settings, digits_task, learn, network, open_bench, simulated_station

station = simulated_station("learning-bench")
with open_bench(station) as bench, network("learning-bench/store", bench.users) as keys:
    for pair in bench.pairs:
        run = bench.run(KeyExchange(pair=pair, seconds=2.0, store=keys.folder))
        key = keys.distil(run)
        print(f"{pair}: {key.qber_x:.2%} errors, {key.key_bits:,} key bits")

    result = learn(digits_task(3, 9), keys.parties, Settings(rounds=8), statements=keys.statements())

for done in result.rounds:
    print(f"round {done.round + 1}: accuracy {done.accuracy:.0%}, {done.key_bits_spent:,} key bits spent")
print("Claimed:", *result.statement.claims, sep="\n  ")
print("Simulated:", *result.statement.provenance.reasons, sep="\n  ")
