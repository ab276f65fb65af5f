/* Faults at the N-th call that changes something below a folder: preloaded in front of libc (LD_PRELOAD).
 *
 * Counted are, for paths below the root: open for writing, write and its kin, fsync, fdatasync, syncfs, rename,
 * mkdir, symlink, link, unlink, rmdir, truncate, chmod, utimens; with `reads`, opening alone, also for reading.
 * A program that has ctypes sets it up by the inject_* functions, any other by the environment:
 * INJECT_ROOT, INJECT_AT, INJECT_MODE (kill, power0, power1, short or errno:N), INJECT_LOG.
 *
 * The log has one line a call that succeeded, with tabs between: process, call, 1 when a file was made by it,
 * inode of what it was done to, inode of its folder, inode of the second path's folder, path, second path.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, KILL, ERROR, SHORT, POWER };
enum { GO, FAIL, HALF };

static char root[PATH_MAX], mount_point[PATH_MAX], where[3 * PATH_MAX];
static size_t root_length;
static atomic_long count;
static long at;
static int mode, code, persistent, reads, log_fd = -1;
static unsigned power_flags;

#define REAL(name)                 \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* --- Set up ------------------------------------------------------------------------------- */

void inject_root(const char *path) {
    root_length = strlen(path);
    memcpy(root, path, root_length + 1);
}

void inject_log(const char *path) {
    if (log_fd >= 0) close(log_fd);
    log_fd = path && *path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)
                           : -1;
}

/* The fault comes at the `number`-th call from here on; 0 for never. */
void inject_arm(long number, int what, int error, int goes_on, int with_reads) {
    mode = what, code = error, persistent = goes_on, reads = with_reads;
    where[0] = 0;
    atomic_store(&count, 0);
    at = number;
}

/* `flags`: 2 the journal is not flushed, 1 it is. `path`: the mount point, a loop device's and no other. */
void inject_power(const char *path, unsigned flags) {
    snprintf(mount_point, sizeof mount_point, "%s", path);
    power_flags = flags;
}

long inject_count(void) { return atomic_load(&count); }

const char *inject_where(void) { return where; }

__attribute__((constructor)) static void from_environment(void) {
    const char *value = getenv("INJECT_ROOT");
    if (value) inject_root(value);
    if ((value = getenv("INJECT_LOG"))) inject_log(value);
    if ((value = getenv("INJECT_MODE"))) {
        if (!strcmp(value, "kill")) mode = KILL;
        if (!strcmp(value, "short")) mode = SHORT;
        if (!strncmp(value, "errno:", 6)) mode = ERROR, code = atoi(value + 6);
        if (!strncmp(value, "power", 5)) mode = POWER, inject_power(root, value[5] == '0' ? 2 : 1);
    }
    if ((value = getenv("INJECT_AT"))) at = atol(value);
}

/* --- Where we are ------------------------------------------------------------------------- */

static int is_below(const char *path) {
    return root_length && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static int resolve_fd(int fd, char *out) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, out, PATH_MAX - 1);
    if (length < 0) return 0;
    out[length] = 0;
    return is_below(out);
}

/* The absolute path of what a call names; is it below the root? */
static int resolve(int folder, const char *path, char *out) {
    if (!root_length || !path) return 0;
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
        return is_below(out);
    }
    char base[PATH_MAX];
    if (folder == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return 0;
    } else if (!resolve_fd(folder, base))
        return 0;
    if (snprintf(out, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return 0;
    return is_below(out);
}

/* --- The fault ---------------------------------------------------------------------------- */

static void cut_the_power(void) {
    static char line[2 * PATH_MAX], device[PATH_MAX], place[PATH_MAX];
    int is_loop = 0;
    FILE *mounts = fopen("/proc/self/mounts", "re");
    while (mounts && fgets(line, sizeof line, mounts))
        if (sscanf(line, "%4095s %4095s", device, place) == 2 && !strcmp(place, mount_point))
            is_loop = !strncmp(device, "/dev/loop", 9);
    int fd = is_loop ? (int)syscall(SYS_openat, AT_FDCWD, mount_point, O_RDONLY | O_DIRECTORY) : -1;
    if (fd < 0 || ioctl(fd, 0x8004587dUL, &power_flags) != 0) {
        static const char text[] = "inject: no loop device is mounted there; no power was cut\n";
        syscall(SYS_write, 2, text, sizeof text - 1);
        _exit(99);
    }
}

/* For a cut after the last call: what was acknowledged must survive it. */
void inject_cut(void) {
    cut_the_power();
    kill(getpid(), SIGKILL);
}

static int step(const char *call, const char *path, const char *second) {
    if (mode == SHORT && strcmp(call, "write")) return GO;
    if (mode == ERROR && reads && !strstr(call, "open")) return GO;
    // A full disk lets go of what it has.
    if (mode == ERROR && (code == ENOSPC || code == EDQUOT) && (!strcmp(call, "unlink") || !strcmp(call, "rmdir"))) return GO;
    long number = atomic_fetch_add(&count, 1) + 1;
    if (!at || number < at || (number > at && !persistent)) return GO;
    if (number == at) snprintf(where, sizeof where, "%s %s %s", call, path, second ? second : "");
    if (mode == KILL || mode == POWER) {
        if (mode == POWER) cut_the_power();
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    if (mode == ERROR) {
        errno = code;
        return FAIL;
    }
    return mode == SHORT ? HALF : GO;
}

/* --- The log ------------------------------------------------------------------------------ */

static unsigned long inode(const char *path) {
    struct stat status;
    return path && lstat(path, &status) == 0 ? status.st_ino : 0;
}

static unsigned long parent(const char *path) {
    char folder[PATH_MAX];
    if (!path) return 0;
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash) *slash = 0;
    struct stat status;  // Of a link, what it leads to: that is what is changed.
    return stat(folder, &status) == 0 ? status.st_ino : 0;
}

static void note(const char *call, int is_new, unsigned long what, const char *path, const char *second) {
    int saved = errno;
    if (log_fd >= 0) {
        char text[3 * PATH_MAX];
        int length = snprintf(text, sizeof text, "%d\t%s\t%d\t%lu\t%lu\t%lu\t%s\t%s\n", getpid(), call, is_new, what,
                              parent(path), parent(second), path ? path : "", second ? second : "");
        syscall(SYS_write, log_fd, text, length);
    }
    errno = saved;
}

void inject_mark(const char *call, const char *text) { note(call, 0, 0, text, 0); }

static unsigned long inode_of(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

/* --- Opening ------------------------------------------------------------------------------ */

#define CHANGES (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)

#define OPEN(name, parameters, folder, arguments)                                                                \
    int name parameters {                                                                                        \
        REAL(name);                                                                                              \
        mode_t bits = 0;                                                                                         \
        if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) {                                                    \
            va_list rest;                                                                                        \
            va_start(rest, flags);                                                                               \
            bits = va_arg(rest, mode_t);                                                                         \
            va_end(rest);                                                                                        \
        }                                                                                                        \
        char full[PATH_MAX];                                                                                     \
        if (!((flags & CHANGES) || reads) || !resolve(folder, path, full)) return real arguments;                \
        if (step("open", full, 0) == FAIL) return -1;                                                            \
        int is_new = log_fd >= 0 && (flags & O_CREAT) && !inode(full);                                           \
        int fd = real arguments;                                                                                 \
        if (fd >= 0 && (flags & CHANGES) && log_fd >= 0) note("open", is_new, inode_of(fd), full, 0);            \
        if (fd >= 0 && (flags & O_TRUNC) && !is_new && log_fd >= 0) note("truncate", 0, inode_of(fd), full, 0);  \
        return fd;                                                                                               \
    }

OPEN(open, (const char *path, int flags, ...), AT_FDCWD, (path, flags, bits))
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD, (path, flags, bits))
OPEN(openat, (int folder, const char *path, int flags, ...), folder, (folder, path, flags, bits))
OPEN(openat64, (int folder, const char *path, int flags, ...), folder, (folder, path, flags, bits))

int creat(const char *path, mode_t bits) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, bits); }
int creat64(const char *path, mode_t bits) { return open64(path, O_CREAT | O_WRONLY | O_TRUNC, bits); }

DIR *opendir(const char *path) {
    REAL(opendir);
    char full[PATH_MAX];
    if (reads && resolve(AT_FDCWD, path, full) && step("opendir", full, 0) == FAIL) return 0;
    return real(path);
}

/* --- Writing ------------------------------------------------------------------------------ */

#define WRITE(name, parameters, target, size, half, arguments)                    \
    ssize_t name parameters {                                                     \
        REAL(name);                                                               \
        char full[PATH_MAX];                                                      \
        if (!root_length || !resolve_fd(target, full)) return real arguments;     \
        int what = step("write", full, 0);                                        \
        if (what == FAIL) return -1;                                              \
        if (what == HALF && size > 1) half;                                       \
        ssize_t done = real arguments;                                            \
        if (done > 0 && log_fd >= 0) note("write", 0, inode_of(target), full, 0); \
        return done;                                                              \
    }

WRITE(write, (int fd, const void *data, size_t size), fd, size, size /= 2, (fd, data, size))
WRITE(pwrite, (int fd, const void *data, size_t size, off_t offset), fd, size, size /= 2, (fd, data, size, offset))
WRITE(pwrite64, (int fd, const void *data, size_t size, off64_t offset), fd, size, size /= 2, (fd, data, size, offset))
WRITE(writev, (int fd, const struct iovec *parts, int size), fd, size, size = 1, (fd, parts, size))
WRITE(sendfile, (int fd, int from, off_t *offset, size_t size), fd, size, size /= 2, (fd, from, offset, size))
WRITE(sendfile64, (int fd, int from, off64_t *offset, size_t size), fd, size, size /= 2, (fd, from, offset, size))
WRITE(copy_file_range, (int from, off64_t *start, int fd, off64_t *offset, size_t size, unsigned flags), fd, size,
      size /= 2, (from, start, fd, offset, size, flags))

/* --- Calls with one descriptor ------------------------------------------------------------ */

#define BY_FD(name, call, parameters, arguments)                            \
    int name parameters {                                                   \
        REAL(name);                                                         \
        char full[PATH_MAX];                                                \
        if (!root_length || !resolve_fd(fd, full)) return real arguments;   \
        if (step(call, full, 0) == FAIL) return -1;                         \
        int done = real arguments;                                          \
        if (done == 0 && log_fd >= 0) note(call, 0, inode_of(fd), full, 0); \
        return done;                                                        \
    }

BY_FD(fsync, "fsync", (int fd), (fd))
BY_FD(fdatasync, "fdatasync", (int fd), (fd))
BY_FD(syncfs, "syncfs", (int fd), (fd))
BY_FD(ftruncate, "truncate", (int fd, off_t size), (fd, size))
BY_FD(ftruncate64, "truncate", (int fd, off64_t size), (fd, size))
BY_FD(fchmod, "chmod", (int fd, mode_t bits), (fd, bits))
BY_FD(futimens, "utimens", (int fd, const struct timespec times[2]), (fd, times))
BY_FD(posix_fallocate, "truncate", (int fd, off_t offset, off_t size), (fd, offset, size))
BY_FD(posix_fallocate64, "truncate", (int fd, off64_t offset, off64_t size), (fd, offset, size))

/* --- Calls with one path ------------------------------------------------------------------ */

#define BY_PATH(name, call, parameters, folder, path, arguments)              \
    int name parameters {                                                     \
        REAL(name);                                                           \
        char full[PATH_MAX];                                                  \
        if (!resolve(folder, path, full)) return real arguments;              \
        if (step(call, full, 0) == FAIL) return -1;                           \
        unsigned long before = log_fd >= 0 ? inode(full) : 0;                 \
        int done = real arguments;                                            \
        if (done == 0) note(call, 0, before ? before : inode(full), full, 0); \
        return done;                                                          \
    }

BY_PATH(mkdir, "mkdir", (const char *path, mode_t bits), AT_FDCWD, path, (path, bits))
BY_PATH(mkdirat, "mkdir", (int folder, const char *path, mode_t bits), folder, path, (folder, path, bits))
BY_PATH(symlink, "symlink", (const char *target, const char *path), AT_FDCWD, path, (target, path))
BY_PATH(symlinkat, "symlink", (const char *target, int folder, const char *path), folder, path, (target, folder, path))
BY_PATH(unlink, "unlink", (const char *path), AT_FDCWD, path, (path))
BY_PATH(unlinkat, flags & AT_REMOVEDIR ? "rmdir" : "unlink", (int folder, const char *path, int flags), folder, path,
        (folder, path, flags))
BY_PATH(rmdir, "rmdir", (const char *path), AT_FDCWD, path, (path))
BY_PATH(remove, "unlink", (const char *path), AT_FDCWD, path, (path))
BY_PATH(truncate, "truncate", (const char *path, off_t size), AT_FDCWD, path, (path, size))
BY_PATH(truncate64, "truncate", (const char *path, off64_t size), AT_FDCWD, path, (path, size))
BY_PATH(chmod, "chmod", (const char *path, mode_t bits), AT_FDCWD, path, (path, bits))
BY_PATH(fchmodat, "chmod", (int folder, const char *path, mode_t bits, int flags), folder, path,
        (folder, path, bits, flags))
BY_PATH(utimensat, "utimens", (int folder, const char *path, const struct timespec times[2], int flags), folder, path,
        (folder, path, times, flags))

/* --- Calls with two paths ----------------------------------------------------------------- */

#define BY_PATHS(name, call, parameters, first_folder, first, second_folder, second, arguments) \
    int name parameters {                                                                       \
        REAL(name);                                                                             \
        char from[PATH_MAX], to[PATH_MAX];                                                      \
        int is_ours = resolve(first_folder, first, from);                                       \
        if (!(resolve(second_folder, second, to) | is_ours)) return real arguments;             \
        if (step(call, from, to) == FAIL) return -1;                                            \
        int done = real arguments;                                                              \
        if (done == 0 && log_fd >= 0) note(call, 0, inode(to), from, to);                       \
        return done;                                                                            \
    }

BY_PATHS(rename, "rename", (const char *old, const char *new), AT_FDCWD, old, AT_FDCWD, new, (old, new))
BY_PATHS(renameat, "rename", (int a, const char *old, int b, const char *new), a, old, b, new, (a, old, b, new))
BY_PATHS(renameat2, flags & 2 ? "exchange" : "rename", (int a, const char *old, int b, const char *new, unsigned flags),
         a, old, b, new, (a, old, b, new, flags))
BY_PATHS(link, "link", (const char *old, const char *new), AT_FDCWD, old, AT_FDCWD, new, (old, new))
BY_PATHS(linkat, "link", (int a, const char *old, int b, const char *new, int flags), a, old, b, new,
         (a, old, b, new, flags))

/* --- Answers ------------------------------------------------------------------------------ */

ssize_t send(int fd, const void *data, size_t size, int flags) {
    REAL(send);
    if (log_fd >= 0 && size > 12 && !memcmp(data, "HTTP/1.", 7)) {
        char status[4] = {0};
        memcpy(status, (const char *)data + 9, 3);
        inject_mark("answer", status);
    }
    return real(fd, data, size, flags);
}
