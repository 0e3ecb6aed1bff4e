/* SPDX-License-Identifier: MIT */
/* The guest as a whole: made, started, signalled, waited for, destroyed. */
#include <linux/prctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/ctty.h"
#include "guest/exec.h"
#include "guest/in_flight.h"
#include "guest/ipc.h"
#include "guest/task.h"
#include "guest/vdso.h"

int guest_create(const struct guest_config *config, struct guest **out)
{
	struct guest *g = calloc(1, sizeof(*g));
	int i, err = -ENOMEM;

	if (!g)
		return -ENOMEM;
	g->cfg = *config;
	g->next_pid = PID_FIRST;
	sysctl_kept_init(&g->sysctls);
	list_init(&g->procs);
	list_init(&g->signalfds);
	for (i = 0; i < PID_BUCKETS; i++) {
		list_init(&g->proc_hash[i]);
		list_init(&g->task_hash[i]);
	}
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->changed, NULL);
	g->futexes = futex_table_create();
	g->itimers = itimer_service_create(g);
	g->ipc = ipc_create();
	if (seats_create(config->nr_cpus, &g->seats))
		g->seats = NULL;
	if (cttys_create(g, &g->cttys))
		g->cttys = NULL;
	g->in_flight = in_flight_create();
	if (g->futexes && g->itimers && g->ipc && g->seats && g->cttys && g->in_flight)
		err = filemaps_create(config->sys, &g->filemaps);
	if (!err && config->vvar)
		err = vdso_create(config->sys, &g->vdso);
	if (!err && config->vvar)
		err = vdso_clock_start(config->vvar, &g->vdso_clock);
	guest_cpus_show(g);
	if (err) {
		guest_destroy(g);
		return err;
	}
	config->set_kick_hook(blocking_kick_hook);
	*out = g;
	return 0;
}

void guest_destroy(struct guest *g)
{
	struct proc *p, *tmp;

	if (!g)
		return;
	itimer_service_destroy(g->itimers);
	guest_lock(g);
	list_for_each_entry_safe(p, tmp, &g->procs, all) proc_free(p);
	guest_unlock(g);
	in_flight_destroy(g->in_flight);
	cttys_destroy(g->cttys);
	ipc_destroy(g->ipc);
	seats_destroy(g->seats);
	vdso_clock_stop(g->vdso_clock);
	if (g->vdso)
		mapping_put(g->vdso);
	if (g->filemaps)
		filemaps_destroy(g->filemaps);
	futex_table_destroy(g->futexes);
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* ---- the first process ------------------------------------------------- */

/*
 * What umm was started with ignored (nohup) stays ignored, but for its own doing. By the bare
 * call: libc does not tell of its own signals, which whoever started umm may have ignored, too.
 */
static void inherit_ignored(struct sighand *h)
{
	struct {
		uintptr_t handler;
		unsigned long flags, restorer;
		uint64_t mask;
	} act;
	int sig;

	for (sig = 1; sig <= GUEST_NSIG; sig++)
		if (sig != SIGPIPE && sig != SIGXFSZ &&
		    !syscall(SYS_rt_sigaction, sig, NULL, &act, sizeof(act.mask)) &&
		    act.handler == (uintptr_t)SIG_IGN)
			h->action[sig - 1].handler = (uintptr_t)SIG_IGN;
}

static struct task *first_task(struct guest *g)
{
	struct proc *p = proc_alloc(g);
	struct task *t;
	int i;

	if (!p)
		return NULL;
	p->sighand = sighand_alloc();
	t = p->sighand ? task_alloc(p) : NULL;
	if (!t) {
		proc_free(p);
		return NULL;
	}
	inherit_ignored(p->sighand);
	p->pid = p->pgid = pid_alloc(g);
	p->sid = PID_OUTSIDE;
	if (ctty_own(g)->host_session)
		p->tty = ctty_get(ctty_own(g));
	p->exit_signal = SIGCHLD;
	creds_first(t);
	errno = 0;
	p->nice = getpriority(PRIO_PROCESS, 0);
	for (i = 0; i < RLIM_NLIMITS; i++)
		if (getrlimit((__rlimit_resource_t)i, &p->rlim[i]))
			p->rlim[i].rlim_cur = p->rlim[i].rlim_max = RLIM_INFINITY;
	t->tid = p->pid;
	return t;
}

static void discard_first(struct task *t)
{
	struct guest *g = t->g;
	struct proc *p = t->proc;

	if (t->files)
		files_put(t->files);
	if (t->fs)
		fs_put(t->fs);
	if (t->mm)
		mm_put(t->mm);
	task_free(t);
	guest_lock(g);
	proc_free(p);
	guest_unlock(g);
}

static void publish_first(struct task *t)
{
	struct guest *g = t->g;

	guest_lock(g);
	proc_publish(t->proc, NULL);
	task_publish(t);
	g->first = t->proc;
	g->nr_threads++;
	if (g->shutdown)
		proc_kill(t->proc, SIGKILL);
	/* Without a thread to watch it there is only no limit. */
	if (t->proc->rlim[RLIMIT_CPU].rlim_cur != RLIM_INFINITY)
		(void)itimer_service_poke(g->itimers);
	guest_unlock(g);
	task_go(t);
}

static const char *spawn_hint(int err)
{
	switch (-err) {
	case ENOEXEC:
		return "not an x86-64 ELF program, nor a script whose first line is "
		       "#!INTERPRETER";
	case ELIBBAD:
		return "its program interpreter (ld.so) is not a valid x86-64 ELF file";
	case EACCES:
		return "not an executable file; look at its type and permissions";
	case ENOENT:
		return "it, or the interpreter that it names, does not exist";
	case ENOMEM:
		return "not enough guest memory to load it; give more with --mem";
	case EISDIR:
		return "a descriptor that it would inherit is a folder outside of its root; close it";
	case EAGAIN:
		return "the host gives no more threads or vCPUs";
	default:
		return strerror(-err);
	}
}

int guest_spawn(struct guest *g, const char *path, char *const argv[], char *const envp[],
		char *err_text, size_t err_size)
{
	struct exec_image *im = NULL;
	struct task *t = NULL;
	int err = exec_prepare_first(g, path, argv, envp, &im);

	if (!err) {
		t = first_task(g);
		err = t ? 0 : -ENOMEM;
	}
	if (!err)
		err = files_create_stdio(g, &t->files);
	if (!err)
		err = fs_create(&t->fs);
	if (!err) {
		exec_install_first(t, im);
		im = NULL;
		err = task_start_thread(t);
	}
	if (!err) {
		publish_first(t);
		return 0;
	}
	snprintf(err_text, err_size, "cannot run %s: %s", path, spawn_hint(err));
	if (t)
		discard_first(t);
	exec_image_free(im);
	return err;
}

int guest_wait(struct guest *g)
{
	int status;

	guest_lock(g);
	while (g->first || g->nr_threads)
		pthread_cond_wait(&g->changed, &g->lock);
	status = g->first_status;
	guest_unlock(g);
	return status;
}

void guest_kill(struct guest *g)
{
	struct proc *p;

	guest_lock(g);
	g->shutdown = true;
	list_for_each_entry(p, &g->procs, all) proc_kill(p, SIGKILL);
	guest_unlock(g);
}

/* The group in front on umm's own terminal. */
static int32_t own_pgrp(const struct guest *g)
{
	return __atomic_load_n(&ctty_own(g)->pgrp, __ATOMIC_RELAXED);
}

void guest_signal(struct guest *g, int sig)
{
	bool terminal = sig == SIGINT || sig == SIGQUIT || sig == SIGTSTP || sig == SIGWINCH;
	siginfo_t info = { .si_signo = sig, .si_code = SI_USER };
	unsigned int nr = 0;

	guest_lock(g);
	if (terminal)
		nr = signal_send_pgrp(g, own_pgrp(g), sig, &info);
	if (!nr && g->first)
		signal_send(g->first, NULL, sig, &info);
	guest_unlock(g);
}

bool guest_memory_failure(struct guest *g, int32_t pid, gva_t addr)
{
	siginfo_t info = { .si_signo = SIGBUS, .si_code = BUS_MCEERR_AO };
	struct proc *p;
	bool told;

	info.si_addr = (void *)(uintptr_t)addr.v;
	info.si_addr_lsb = UMM_PAGE_SHIFT;
	guest_lock(g);
	p = proc_find(g, pid);
	told = p && !p->zombie && p->mce_kill == PR_MCE_KILL_EARLY + 1 &&
	       !signal_send(p, NULL, SIGBUS, &info);
	guest_unlock(g);
	return told;
}

/* ---- small questions --------------------------------------------------- */

const struct guest_config *guest_config(const struct guest *g)
{
	return &g->cfg;
}

struct filemaps *guest_filemaps(struct guest *g)
{
	return g->filemaps;
}

bool guest_stops_by_default(struct guest *g)
{
	bool stops = own_pgrp(g) == PID_FIRST;
	struct proc *p;

	guest_lock(g);
	list_for_each_entry(p, &g->procs, all)
	{
		if (p->pgid == PID_FIRST && !p->zombie &&
		    p->sighand->action[SIGTSTP - 1].handler != (uint64_t)SIG_DFL)
			stops = false;
	}
	guest_unlock(g);
	return stops;
}

void guest_stop_vmm(void)
{
	pid_t parent = getppid();

	/* To this thread: of one to the process it would hear later, and run on until then. */
	if (parent > 0 && getsid(parent) == getsid(0))
		tgkill(getpid(), gettid(), SIGSTOP);
}

void guest_counters_read(const struct guest *g, struct guest_counters *out)
{
	const uint64_t *from = (const uint64_t *)&g->counters;
	uint64_t *to = (uint64_t *)out;
	size_t i;

	for (i = 0; i < sizeof(*out) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}
