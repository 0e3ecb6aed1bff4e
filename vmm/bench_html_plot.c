/* SPDX-License-Identifier: MIT */
/*
 * Pictures of umm bench reclaim: percent of the physical limit, slowdown against
 * local memory, latencies, and the speed of a program whose hot set moves. Data
 * and scripts stay in DIR/plots, so that a picture can be drawn again by hand.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/bench_html.h"
#include "vmm/report_gnuplot.h"

struct plot {
	const struct reclaim_bench *b;
	const json_t *all;
	FILE *html, *script;
	unsigned int nr; /* pictures so far */
	bool missing;    /* there is no gnuplot */
	char name[PATH_MAX + 64];
	unsigned int series;
};

static double number(const json_t *o, const char *name)
{
	return json_number_value(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

/* ---- one picture ---------------------------------------------------------------------------- */

/* Dark enough on white, each of them. */
static const char *const colours[] = { "#1b62a5", "#d1590b", "#1a8a3a", "#b3202c",
				       "#7d4fb0", "#6b4a35", "#c83f98", "#4a4a4a" };

static int plot_begin(struct plot *p, const char *title, const char *settings)
{
	snprintf(p->name, sizeof(p->name), "%s/plots/%u", p->b->dir, ++p->nr);
	p->series = 0;
	char path[sizeof(p->name) + 8];

	snprintf(path, sizeof(path), "%s.gp", p->name);
	p->script = fopen(path, "we");
	if (!p->script)
		return -errno;
	fprintf(p->script,
		"set terminal svg size 900,420 dynamic noenhanced font 'sans-serif,13' "
		"name 'plot%u' background '#ffffff'\n"
		"set output '%s.svg'\nset title '%s'\nset grid\nset key outside right\n",
		p->nr, p->name, title);
	for (unsigned int i = 0; i < sizeof(colours) / sizeof(colours[0]); i++)
		fprintf(p->script, "set linetype %u lc rgb '%s' lw 2\n", i + 1, colours[i]);
	fprintf(p->script, "%s\n", settings);
	return 0;
}

/* Lines "x y" of the next series follow. */
static void series_begin(struct plot *p)
{
	fprintf(p->script, "$d%u << EOD\n", p->series++);
}

static void series_end(struct plot *p)
{
	fputs("EOD\n", p->script);
}

/* Copies an SVG without what stands in front of its first element. */
static int inline_svg(struct plot *p)
{
	char path[sizeof(p->name) + 8], line[4096];
	bool on = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s.svg", p->name);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	fputs("<figure>\n", p->html);
	while (fgets(line, sizeof(line), f)) {
		on = on || !strncmp(line, "<svg", 4);
		if (on)
			fputs(line, p->html);
	}
	fputs("</figure>\n", p->html);
	fclose(f);
	return 0;
}

static int plot_end(struct plot *p, struct errmsg *e)
{
	char path[sizeof(p->name) + 8];
	int rc;

	snprintf(path, sizeof(path), "%s.gp", p->name);
	if (fclose(p->script))
		return errmsg_set(e, -EIO, "cannot write %.300s", path);
	rc = gnuplot_run(path, e);
	if (rc == -ENOENT && !p->missing) {
		p->missing = true;
		fputs("<p id=\"no-gnuplot\">No pictures: ", p->html);
		html_text(p->html, e->text);
		fputs("</p>\n", p->html);
	}
	if (rc == -ENOENT)
		return 0;
	rc = rc ? rc : inline_svg(p);
	return rc == -EIO || !rc ? rc : errmsg_set(e, rc, "%.300s: %s", p->name, strerror(-rc));
}

/* ---- percent of the limit ---------------------------------------------------------------------- */

static bool is_limit(const json_t *row)
{
	return strstr(text(row, "other"), "limit") || strstr(text(row, "other"), "memcpy");
}

static int plot_limits(struct plot *p, struct errmsg *e)
{
	json_t *rows = json_object_get(p->all, "benchmarks"), *row;
	unsigned int nr = 0;
	size_t i;
	int rc;

	json_array_foreach(rows, i, row) nr += is_limit(row);
	if (!nr)
		return 0;
	fputs("<h2 id=\"limit\">Percent of the physical limit</h2>\n", p->html);
	rc = plot_begin(p, "",
			"set style fill solid 0.7\nset boxwidth 0.6\nset yrange [0:100<*<120]\n"
			"set ylabel 'percent of the limit'\nset xtics nomirror scale 0\n"
			"set bmargin 4\nset key above right");
	if (rc)
		return rc;
	series_begin(p);
	json_array_foreach(rows, i, row) if (is_limit(row))
		fprintf(p->script, "\"%s\\n(%s)\" %g %.0f\n", text(row, "name"), text(row, "other"),
			100 * number(row, "ratio"), 100 * number(row, "ratio"));
	series_end(p);
	fputs("plot $d0 using 0:2:xtic(1) with boxes lt 1 lw 1 notitle, "
	      "$d0 using 0:2:3 with labels offset 0,0.7 notitle, "
	      "80 with lines dt 2 lc rgb '#555555' title 'target when paging out to a file'\n",
	      p->script);
	return plot_end(p, e);
}

/* ---- slowdown over memory ----------------------------------------------------------------------- */

static bool first_of(const json_t *points, size_t at, bool by_side)
{
	const json_t *like = json_array_get(points, at);

	for (size_t i = 0; i < at; i++) {
		const json_t *q = json_array_get(points, i);

		if (!strcmp(text(q, "workload"), text(like, "workload")) &&
		    (!by_side || (!strcmp(text(q, "side"), text(like, "side")) &&
				  !strcmp(text(q, "policy"), text(like, "policy")))))
			return false;
	}
	return true;
}

/* Is there anything to draw of @like's workload, and of its side where @by_side? */
static bool has_slowdown(const json_t *points, const json_t *like, bool by_side)
{
	json_t *q;
	size_t i;

	json_array_foreach(points, i, q)
	{
		if (json_object_get(q, "slowdown") && number(q, "ratio") > 0 &&
		    !strcmp(text(q, "workload"), text(like, "workload")) &&
		    (!by_side || (!strcmp(text(q, "side"), text(like, "side")) &&
				  !strcmp(text(q, "policy"), text(like, "policy")))))
			return true;
	}
	return false;
}

static void slowdown_series(struct plot *p, const json_t *points, const json_t *like)
{
	json_t *q, *slow;
	size_t i;

	series_begin(p);
	json_array_foreach(points, i, q)
	{
		slow = json_object_get(q, "slowdown");
		if (!slow || number(q, "ratio") == 0 ||
		    strcmp(text(q, "workload"), text(like, "workload")) ||
		    strcmp(text(q, "side"), text(like, "side")) ||
		    strcmp(text(q, "policy"), text(like, "policy")))
			continue;
		fprintf(p->script, "%g %g %g %g\n", number(q, "ratio"), number(slow, "median"),
			number(slow, "low"), number(slow, "high"));
	}
	series_end(p);
}

static int plot_slowdown(struct plot *p, const json_t *points, const json_t *like, struct errmsg *e)
{
	char title[128], legend[RECLAIM_MAX_LIST + 2][80];
	const json_t *q;
	size_t i;
	int rc;

	snprintf(title, sizeof(title), "%s: slowdown against local memory", text(like, "workload"));
	rc = plot_begin(p, title,
			"set logscale y\nset xlabel 'memory, percent of what it wants'\n"
			"set ylabel 'times slower than with enough'\n"
			"set xrange [105:0]\nset yrange [0.8:]");
	if (rc)
		return rc;
	for (i = 0; i < p->b->nr_ratios; i++)
		fprintf(p->script, "set xtics %s (%g)\n", i ? "add" : "", p->b->ratios[i]);
	json_array_foreach(points, i, q)
	{
		if (strcmp(text(q, "workload"), text(like, "workload")) ||
		    !first_of(points, i, true) || !has_slowdown(points, q, true) ||
		    p->series == RECLAIM_MAX_LIST + 2)
			continue;
		snprintf(legend[p->series], sizeof(legend[0]), "%s %s", text(q, "side"),
			 text(q, "policy"));
		slowdown_series(p, points, q);
	}
	fputs("plot 1 notitle with lines lc rgb '#cccccc'", p->script);
	for (unsigned int s = 0; s < p->series; s++)
		fprintf(p->script, ", $d%u using 1:2:3:4 with yerrorlines title '%s'", s,
			legend[s]);
	fputs("\n", p->script);
	return plot_end(p, e);
}

static int plot_slowdowns(struct plot *p, struct errmsg *e)
{
	json_t *points = json_object_get(p->all, "programs"), *q;
	size_t i;
	int rc = 0;

	if (!json_array_size(points))
		return 0;
	fputs("<h2 id=\"slowdown\">Slowdown against local memory</h2>\n", p->html);
	json_array_foreach(points, i, q)
	{
		if (!rc && first_of(points, i, false) && has_slowdown(points, q, false))
			rc = plot_slowdown(p, points, q, e);
	}
	return rc;
}

/* ---- latencies ------------------------------------------------------------------------------------ */

static void cdf_series(struct plot *p, const json_t *histogram)
{
	double sum = 0, seen = 0;
	json_t *bin;
	size_t i;

	json_array_foreach(histogram, i, bin) sum += json_number_value(json_array_get(bin, 1));
	series_begin(p);
	json_array_foreach(histogram, i, bin)
	{
		seen += json_number_value(json_array_get(bin, 1));
		fprintf(p->script, "%g %g\n", json_number_value(json_array_get(bin, 0)) / 1e3,
			seen / sum);
	}
	series_end(p);
}

static int plot_latency(struct plot *p, struct errmsg *e)
{
	json_t *list = json_object_get(p->all, "latency"), *l;
	unsigned int s = 0;
	size_t i;
	int rc;

	if (!json_array_size(list))
		return 0;
	fputs("<h2 id=\"latency\">Latency of a random page that was paged out</h2>\n", p->html);
	rc = plot_begin(
		p, "how many accesses take so long or less",
		"set logscale x\nset xlabel 'us, at most'\nset ylabel 'share of accesses over 0.5 us'\n"
		"set yrange [0:1]\nset key inside right bottom");
	if (rc)
		return rc;
	json_array_foreach(list, i, l) cdf_series(p, json_object_get(l, "histogram"));
	fputs("plot ", p->script);
	json_array_foreach(list, i, l)
		fprintf(p->script, "%s$d%u using 1:2 with steps lw 2 title '%s'", s ? ", " : "", s,
			text(l, "name")),
		s++;
	fputs("\n", p->script);
	return plot_end(p, e);
}

/* ---- through a shift of the hot set ------------------------------------------------------------------ */

static bool has_timeline(const struct plot *p, const json_t *run)
{
	double last = p->b->nr_ratios ? p->b->ratios[p->b->nr_ratios / 2] : 0;

	return json_array_size(json_object_get(run, "timeline")) > 2 &&
	       number(run, "repeat") == 0 && number(run, "ratio") == last &&
	       !strcmp(text(run, "workload"), "gups-moving");
}

/*
 * From operations done by each tenth of a second to operations a second, over as many tenths
 * as leave some forty points. Where nothing was done there is no point.
 */
static void rate_series(struct plot *p, const json_t *timeline)
{
	size_t nr = json_array_size(timeline), step = nr / 40 + 1;
	double before = 0, now;

	series_begin(p);
	for (size_t i = step; i <= nr; i += step) {
		now = json_number_value(json_array_get(timeline, i - 1));
		if (now > before)
			fprintf(p->script, "%g %g\n", ((double)i - (double)step / 2) / 10,
				(now - before) * 10 / (double)step);
		before = now;
	}
	series_end(p);
}

static int plot_timeline(struct plot *p, struct errmsg *e)
{
	json_t *runs = json_object_get(p->all, "runs"), *run;
	unsigned int s = 0, nr = 0;
	size_t i;
	int rc;

	json_array_foreach(runs, i, run) nr += has_timeline(p, run);
	if (!nr)
		return 0;
	fputs("<h2 id=\"timeline\">Speed through shifts of the hot set</h2>\n", p->html);
	rc = plot_begin(p, "gups-moving: the hot set moves four times",
			"set logscale y\nset xlabel 'seconds'\nset ylabel 'operations a second'");
	if (rc)
		return rc;
	json_array_foreach(runs, i, run) if (has_timeline(p, run))
		rate_series(p, json_object_get(run, "timeline"));
	fputs("plot ", p->script);
	json_array_foreach(runs, i, run)
	{
		if (!has_timeline(p, run))
			continue;
		fprintf(p->script, "%s$d%u using 1:2 with lines lw 2 title '%s %s'", s ? ", " : "",
			s, text(run, "side"), text(run, "policy"));
		s++;
	}
	fputs("\n", p->script);
	return plot_end(p, e);
}

int html_plots(FILE *f, const struct reclaim_bench *b, const json_t *all, struct errmsg *e)
{
	struct plot p = { .b = b, .all = all, .html = f };
	char dir[PATH_MAX + 16];
	int rc;

	/* It stands in quotes of gnuplot's language. */
	if (strchr(b->dir, '\''))
		return errmsg_set(e, -EINVAL, "--out: '%.100s': no quotes, please", b->dir);
	snprintf(dir, sizeof(dir), "%s/plots", b->dir);
	if (mkdir(dir, 0777) && errno != EEXIST)
		return errmsg_set(e, -errno, "%.300s: %s", dir, strerror(errno));
	rc = plot_limits(&p, e);
	if (!rc)
		rc = plot_slowdowns(&p, e);
	if (!rc)
		rc = plot_latency(&p, e);
	if (!rc)
		rc = plot_timeline(&p, e);
	return rc;
}
