/* SPDX-License-Identifier: MIT */
/* Pictures of sweeps: a file of numbers each, and gnuplot to draw it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/bench_sweep.h"
#include "vmm/report_gnuplot.h"

static FILE *open_in(const char *dir, const char *name, const char *suffix, char *path, size_t size)
{
	snprintf(path, size, "%s/migrate-%s%s", dir, name, suffix);
	return fopen(path, "we");
}

static int write_numbers(const struct sweep_set *set, const char *sweep, const char *dir)
{
	char path[4096];
	FILE *f = open_in(dir, sweep, ".dat", path, sizeof(path));
	double low, high;

	if (!f)
		return -errno;
	fputs("# x us/page low high bare\n", f);
	for (unsigned int i = 0; i < set->nr; i++) {
		const struct sweep_point *p = &set->points[i];

		if (strcmp(p->sweep, sweep) || !p->umm.nr)
			continue;
		samples_interval(&p->umm, &low, &high);
		fprintf(f, "%" PRIu64 " %f %f %f %f\n", p->x, samples_median(&p->umm), low, high,
			samples_median(&p->bare));
	}
	return fclose(f) ? -errno : 0;
}

static int write_script(const char *sweep, const char *dir, char *path, size_t size)
{
	FILE *f = open_in(dir, sweep, ".gp", path, size);

	if (!f)
		return -errno;
	fprintf(f,
		"set terminal pngcairo size 800,500\n"
		"set output '%s/migrate-%s.png'\n"
		"set title 'umm bench migrate: %s'\n"
		"set xlabel '%s'\nset ylabel 'us a page'\nset logscale xy\nset grid\n"
		"plot '%s/migrate-%s.dat' using ($1+1e-9):2:3:4 with yerrorlines title 'move', "
		"'' using ($1+1e-9):5 with linespoints title 'bare copy'\n",
		dir, sweep, sweep, sweep, dir, sweep);
	return fclose(f) ? -errno : 0;
}

static bool drawn_before(const struct sweep_set *set, unsigned int at)
{
	for (unsigned int i = 0; i < at; i++)
		if (!strcmp(set->points[i].sweep, set->points[at].sweep))
			return true;
	return false;
}

int sweep_plot(const struct sweep_set *set, const char *dir, struct errmsg *e)
{
	char script[4096];
	int rc = 0;

	/* They stand in quotes of gnuplot's language. */
	if (strchr(dir, '\'') || strlen(dir) > 3000)
		return errmsg_set(e, -EINVAL, "--plot: '%.100s': no quotes, please", dir);
	if (mkdir(dir, 0777) && errno != EEXIST)
		return errmsg_set(e, -errno, "--plot: cannot make %s: %s", dir, strerror(errno));
	for (unsigned int i = 0; i < set->nr && !rc; i++) {
		const char *sweep = set->points[i].sweep;

		if (drawn_before(set, i))
			continue;
		rc = write_numbers(set, sweep, dir);
		if (!rc)
			rc = write_script(sweep, dir, script, sizeof(script));
		if (rc)
			return errmsg_set(e, rc, "--plot: cannot write to %s: %s", dir,
					  strerror(-rc));
		rc = gnuplot_run(script, e);
	}
	return rc;
}
