/* SPDX-License-Identifier: MIT */
/* The tree of mounts of a confined guest; vmm/confine.h tells what is in it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/host_dir.h"
#include "guest/path.h"
#include "vmm/confine.h"

#define SMALL (MS_NOSUID | MS_NOEXEC)

/* The devices that programs expect; each is the host's. */
static const char *const devices[] = { "null", "zero", "full", "random", "urandom", "tty" };

#define NR_DEVICES (sizeof(devices) / sizeof(*devices))

/* Where the guest's way about began, and what is brought along. */
struct build {
	const struct run_options *o;
	struct errmsg *e;
	char cwd[PATH_MAX];     /* in the new tree */
	int device[NR_DEVICES]; /* mounts that are in no tree yet; -1: the host has none */
};

static int build_error(struct build *b, const char *what)
{
	int err = errno;

	return errmsg_set(b->e, -err, "cannot confine the guest: %s: %s", what, strerror(err));
}

static int mount_clone(const char *name, unsigned int flags)
{
	return (int)syscall(SYS_open_tree, AT_FDCWD, name,
			    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
}

static int mount_attach(int mount, const char *name)
{
	return (int)syscall(SYS_move_mount, mount, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH);
}

static int mount_change(const char *name, unsigned int flags, uint64_t set)
{
	struct mount_attr attr = { .attr_set = set };

	return (int)syscall(SYS_mount_setattr, AT_FDCWD, name, flags, &attr, sizeof(attr));
}

static bool is_folder(const char *name)
{
	struct stat st;

	return !lstat(name, &st) && S_ISDIR(st.st_mode);
}

/* ---- the root ----------------------------------------------------------------- */

/* The same folder as before if it is in the tree, else its top. */
static int find_cwd(struct build *b, const char *root)
{
	const char *rest;
	char cwd[PATH_MAX];

	if (!getcwd(cwd, sizeof(cwd)))
		strcpy(cwd, "/");
	if (!strcmp(root, "/"))
		strcpy(b->cwd, cwd);
	else
		strcpy(b->cwd, path_below(cwd, root, &rest) && *rest ? rest : "/");
	return 0;
}

static void keep_devices(struct build *b)
{
	char name[32];

	for (size_t i = 0; i < NR_DEVICES; i++) {
		snprintf(name, sizeof(name), "/dev/%s", devices[i]);
		b->device[i] = mount_clone(name, 0);
	}
}

/*
 * @tree becomes the root. pivot_root(".", ".") puts the old root on top of the new one, from
 * where it is taken away with all that is below it.
 */
static int pivot(struct build *b, int tree, const char *root)
{
	int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (old < 0 || mount_attach(tree, root) || fchdir(tree) ||
	    syscall(SYS_pivot_root, ".", ".") || fchdir(old) || umount2(".", MNT_DETACH) ||
	    chdir("/"))
		rc = build_error(b, "it gets no root of its own");
	if (old >= 0)
		close(old);
	return rc;
}

static int enter_root(struct build *b)
{
	const char *wanted = b->o->root[0] ? b->o->root : "/";
	char root[PATH_MAX];
	int tree, rc;

	if (!realpath(wanted, root))
		return errmsg_set(b->e, -errno, "--root %s: %s", wanted, strerror(errno));
	if (!is_folder(root))
		return errmsg_set(b->e, -ENOTDIR, "--root %s: not a folder", wanted);
	rc = find_cwd(b, root);
	if (rc)
		return rc;
	/* Nothing that is mounted from here on goes back to the host. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return build_error(b, "its mounts cannot be made private");
	keep_devices(b);
	tree = mount_clone(root, AT_RECURSIVE);
	if (tree < 0)
		return build_error(b, "its folder cannot be mounted");
	rc = pivot(b, tree, root);
	close(tree);
	return rc;
}

/* ---- what is covered ------------------------------------------------------------- */

/* File systems through which the kernel is told what to do, or tells of others. */
static bool is_kernels(const char *type)
{
	static const char *const types[] = {
		"proc",    "sysfs",      "cgroup",      "cgroup2",  "debugfs",
		"tracefs", "securityfs", "bpf",         "configfs", "efivarfs",
		"pstore",  "fusectl",    "binfmt_misc", "devtmpfs", "selinuxfs",
		"smackfs", "rpc_pipefs", "nfsd",        "resctrl",  "mqueue",
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(type, types[i]))
			return true;
	return false;
}

/* Blanks and the like are \ooo there. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; to++) {
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*to = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to = *s++;
		}
	}
	*to = 0;
}

/*
 * Mount point and type of a line of mountinfo:
 * 36 35 98:0 /root /point options [optional]... - type source options
 */
static bool mountinfo_parse(char *line, char **point, char **type)
{
	char *dash = strstr(line, " - ");

	for (int i = 0; line && i < 4; i++) {
		line = strchr(line, ' ');
		line += line != NULL;
	}
	if (!dash || !line || dash < line)
		return false;
	*point = line;
	line[strcspn(line, " ")] = 0;
	*type = dash + 3;
	(*type)[strcspn(*type, " ")] = 0;
	unescape(*point);
	return true;
}

/* An empty read-only folder on top of @point; what is below another one already is gone. */
static int cover(struct build *b, const char *point)
{
	struct stat st;

	if (lstat(point, &st))
		return errno == ENOENT ? 0 : build_error(b, point);
	if (S_ISDIR(st.st_mode) &&
	    !mount("none", point, "tmpfs", SMALL | MS_NODEV | MS_RDONLY, "mode=555,size=4k"))
		return 0;
	/* A single file of them; /dev/null can stand for it, if it is there. */
	if (!S_ISDIR(st.st_mode) && b->device[0] >= 0 &&
	    !mount("/dev/null", point, NULL, MS_BIND, NULL) &&
	    !mount_change(point, 0, MOUNT_ATTR_RDONLY))
		return 0;
	return build_error(b, point);
}

static int cover_kernels(struct build *b)
{
	FILE *f = host_proc_fopen("thread-self/mountinfo");
	char *line = NULL, *point, *type;
	size_t size = 0;
	int rc = 0;

	if (!f)
		return build_error(b, "/proc/thread-self/mountinfo");
	while (!rc && getline(&line, &size, f) > 0) {
		if (!mountinfo_parse(line, &point, &type))
			rc = errmsg_set(b->e, -EPROTO, "mountinfo is not understood");
		/* A read-only tree may tell of the machine, but /proc is made by us. */
		else if (b->o->ro ? !strcmp(type, "proc") : is_kernels(type))
			rc = cover(b, point);
	}
	free(line);
	fclose(f);
	return rc;
}

/* ---- /dev, /tmp ---------------------------------------------------------------------- */

static int make_links(void)
{
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" },       { "/proc/self/fd/0", "/dev/stdin" },
		{ "/proc/self/fd/1", "/dev/stdout" }, { "/proc/self/fd/2", "/dev/stderr" },
		{ "pts/ptmx", "/dev/ptmx" },
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
		if (symlink(links[i][0], links[i][1]))
			return -1;
	return 0;
}

static int attach_devices(struct build *b)
{
	char name[32];
	int fd;

	for (size_t i = 0; i < NR_DEVICES; i++) {
		if (b->device[i] < 0)
			continue;
		snprintf(name, sizeof(name), "/dev/%s", devices[i]);
		fd = open(name, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0444);
		/* Its inode is the host's: read-only, it works as before, but keeps mode, owner and times. */
		if (fd < 0 || mount_attach(b->device[i], name) ||
		    mount_change(name, 0, MOUNT_ATTR_RDONLY))
			return -1;
		close(fd);
		close(b->device[i]);
	}
	return 0;
}

static int make_dev(struct build *b)
{
	if (!is_folder("/dev"))
		return 0;
	if (mount("umm", "/dev", "tmpfs", SMALL, "mode=755,size=64k") || mkdir("/dev/pts", 0755) ||
	    mkdir("/dev/shm", 0755) || make_links() || attach_devices(b) ||
	    mount("umm", "/dev/pts", "devpts", SMALL, "newinstance,ptmxmode=0666,mode=620") ||
	    mount("umm", "/dev/shm", "tmpfs", SMALL | MS_NODEV, "mode=1777") ||
	    mount_change("/dev", 0, MOUNT_ATTR_RDONLY))
		return build_error(b, "its /dev cannot be made");
	return 0;
}

static int make_tmp(struct build *b)
{
	if (!b->o->tmp)
		return 0;
	if (!is_folder("/tmp"))
		return errmsg_set(b->e, -ENOENT, "--tmp: there is no folder /tmp to put it on");
	if (mount("umm", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"))
		return build_error(b, "it gets no /tmp of its own");
	return 0;
}

int confine_mounts(const struct run_options *o, struct errmsg *e)
{
	struct build b = { .o = o, .e = e };
	int rc = enter_root(&b);

	if (!rc)
		rc = cover_kernels(&b);
	if (!rc &&
	    mount_change("/", AT_RECURSIVE,
			 MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | (o->ro ? MOUNT_ATTR_RDONLY : 0)))
		rc = build_error(&b, "its mounts cannot be made read-only or without devices");
	if (!rc)
		rc = make_dev(&b);
	if (!rc)
		rc = make_tmp(&b);
	/* Covered by now, or not to be searched: the top will do. */
	if (!rc && chdir(b.cwd) && chdir("/"))
		rc = build_error(&b, "its folder cannot be entered");
	return rc;
}
