/* SPDX-License-Identifier: MIT */
#include "vmm/bench_regret.h"

#include <math.h>
#include <string.h>

int regret_optimum(const struct sim_trace *t, uint64_t frames, uint64_t *pages, struct errmsg *e)
{
	struct sim_result best;
	int rc = sim_optimum(t, frames, &best);

	if (rc)
		return errmsg_set(e, rc, "the optimum: %s", strerror(-rc));
	*pages = best.faults - best.cold;
	return 0;
}

int regret_simulate(const struct sim_trace *t, const char *workload, double ratio, uint64_t frames,
		    json_t *list, struct errmsg *e)
{
	const struct reclaim_policy *policy;
	struct sim_result best, r;
	int rc = sim_optimum(t, frames, &best);

	for (unsigned int i = 0; !rc && (policy = reclaim_policy_get(i)); i++) {
		double regret;

		rc = sim_replay(t, policy, frames, &r);
		if (rc)
			break;
		regret = sim_regret(&r, &best);
		json_array_append_new(
			list, json_pack("{s:s, s:f, s:s, s:I, s:I, s:f, s:f, s:f}", "workload",
					workload, "ratio", ratio, "policy", policy->name, "faults",
					(json_int_t)(r.faults - r.cold), "optimum",
					(json_int_t)(best.faults - best.cold), "regret",
					isfinite(regret) ? regret : -1.0, "seconds", r.seconds,
					"distance",
					r.faults > r.cold ? (double)r.distance_sum /
								    (double)(r.faults - r.cold)
							  : 0.0));
	}
	return rc ? errmsg_set(e, rc, "replay of %s: %s", workload, strerror(-rc)) : 0;
}
