/* Storage recorder for the power-loss simulator: an LD_PRELOAD object which appends every change
 * and every sync of files below one folder to a trace, from which cut.py builds the folder as it
 * could look after a power cut.
 *
 *   cc -O2 -shared -fPIC -o shim.so shim.c -ldl -lpthread
 *   POWERLOSS_ROOT=/abs/folder POWERLOSS_TRACE=/abs/trace LD_PRELOAD=/abs/shim.so program ...
 *
 * It catches system calls, not libc functions: a seccomp filter turns the calls of interest into
 * SIGSYS and the handler performs and records them. Replacing libc symbols would miss code which
 * issues system calls itself (the rustix crate does, and with it tempfile's rename), libc's own
 * internal calls, and any forgotten 64-bit alias. Files are known by (device, inode) and so by an
 * id of our own, hence open, dup, fcntl and close of descriptors need no tracking, and a write to
 * a renamed open file lands in the right file. Names are (directory id, entry name).
 *
 * One mutex is held over call and record, so the order of the trace is one the file system could
 * have seen. Only syncs run outside it, as a pair of records: a sync covers what was recorded
 * before its begin. Each record is written to the trace at once, so a killed process loses none.
 * The trace starts with a baseline: what the folder held at the first change, taken as durable.
 *
 * Anything which cannot be represented is recorded as UNSUPPORTED and makes the reader fail.
 * Unseen: mprotect of a shared mapping to writable after the fact; other processes' changes. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef __x86_64__
#error "only x86-64 is supported: see the stub below and the registers in on_sigsys"
#endif

enum { CREATE = 1, MKDIR, WRITE, RESIZE, RENAME, LINK, UNLINK, RMDIR, SYNC_BEGIN, SYNC_END,
       BASELINE_END, UNSUPPORTED };
enum { FDATASYNC = 1 };                  /* flags of SYNC_BEGIN */
enum { ROOT_ID = 1 };                    /* file id of the root; id 0 in a sync means every file */

struct record {                          /* followed by name1, name2, data (size bytes in all) */
    uint32_t size;
    uint16_t kind, flags, name1_len, name2_len;
    uint32_t magic;
    uint64_t ns, id, off, dir1, dir2;    /* off: write offset, new size, or index of SYNC_BEGIN */
};
#define MAGIC 0x31435450u                /* "PTC1" */

/* Our own system calls go through this stub, copied to a fixed page which the filter lets pass.
 * The address is fixed so that it also passes the filter inherited from a parent process. */
#define STUB_HI 0x6f70UL
#define STUB_LO 0x6c730000UL
__asm__(".text\nstub_begin:\n mov %rdi,%rax\n mov %rsi,%rdi\n mov %rdx,%rsi\n mov %rcx,%rdx\n"
        " mov %r8,%r10\n mov %r9,%r8\n mov 8(%rsp),%r9\n syscall\n ret\nstub_end:\n");
extern const char stub_begin[] __attribute__((visibility("hidden")));
extern const char stub_end[] __attribute__((visibility("hidden")));
typedef long (*stub_fn)(long, long, long, long, long, long, long);
#define SYS(nr, a, b, c, d, e, f) ((stub_fn)(STUB_HI << 32 | STUB_LO))(nr, (long)(a), (long)(b), \
        (long)(c), (long)(d), (long)(e), (long)(f))
#define SYS3(nr, a, b, c) SYS(nr, a, b, c, 0, 0, 0)
#define SYS4(nr, a, b, c, d) SYS(nr, a, b, c, d, 0, 0)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *root_path, *trace_path;
static dev_t root_dev;
static int trace_fd = -1;
static pid_t owner;                      /* the process which writes the trace */
static uint64_t n_records, next_id;
#define SLOTS (1u << 20)
static struct { uint64_t ino, id; } table[SLOTS];

static void die(const char *why) {
    SYS3(SYS_write, 2, "powerloss shim: ", 16);
    SYS3(SYS_write, 2, why, strlen(why));
    SYS3(SYS_write, 2, "\n", 1);
    SYS3(SYS_exit_group, 97, 0, 0);
}

static int is_fork_child(void) { return owner && SYS3(SYS_getpid, 0, 0, 0) != owner; }
/* After fork another thread's lock would never be released; a child only looks, or dies in emit. */
static void lock(void) { if (!is_fork_child()) pthread_mutex_lock(&mutex); }
static void unlock(void) { if (!is_fork_child()) pthread_mutex_unlock(&mutex); }

static uint32_t slot_of(uint64_t ino) {
    uint32_t i = (uint32_t)(ino * 0x9E3779B97F4A7C15ull >> 44);
    while (table[i].ino && table[i].ino != ino) i = (i + 1) % SLOTS;
    return i;
}
/* A created object always gets a new id: its inode number may be that of a deleted one. */
static uint64_t new_id(uint64_t ino) {
    uint32_t i = slot_of(ino);
    if (next_id > SLOTS / 2) die("too many files");
    table[i].ino = ino;
    return table[i].id = ++next_id;
}

static void put(const void *data, size_t len) {
    for (const char *p = data; len > 0;) {
        long n = SYS3(SYS_write, trace_fd, p, len);
        if (n < 0) die("cannot write the trace");
        p += n, len -= (size_t)n;
    }
}
static void emit_v(int kind, int flags, uint64_t id, uint64_t off, uint64_t dir1, const char *name1,
                   uint64_t dir2, const char *name2, const struct iovec *iov, size_t len) {
    static char head[sizeof(struct record) + 2 * 4096];
    size_t l1 = strlen(name1), l2 = strlen(name2);
    struct timespec t;
    if (is_fork_child()) die("a forked child changes the recorded folder");
    clock_gettime(CLOCK_MONOTONIC, &t);
    struct record r = { (uint32_t)(l1 + l2 + len), (uint16_t)kind, (uint16_t)flags, (uint16_t)l1,
                        (uint16_t)l2, MAGIC, (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec,
                        id, off, dir1, dir2 };
    memcpy(head, &r, sizeof r);
    memcpy(head + sizeof r, name1, l1);
    memcpy(head + sizeof r + l1, name2, l2);
    put(head, sizeof r + l1 + l2);
    for (; len > 0; iov++) {             /* a call may have written less than the vector holds */
        size_t n = iov->iov_len < len ? iov->iov_len : len;
        put(iov->iov_base, n);
        len -= n;
    }
    n_records++;
}
static void emit(int kind, uint64_t id, uint64_t off) {
    emit_v(kind, 0, id, off, 0, "", 0, "", NULL, 0);
}
static void emit_name(int kind, uint64_t id, uint64_t dir, const char *name) {
    emit_v(kind, 0, id, 0, dir, name, 0, "", NULL, 0);
}
static void unsupported(const char *what) { emit_name(UNSUPPORTED, 0, 0, what); }

/* Give everything below a directory its id; with record set, also write it to the trace. System
 * calls only, since this may run inside a signal handler. */
static void baseline_file(int dirfd, const char *name, uint64_t id, off_t size) {
    static char buf[1 << 16];
    long fd = SYS4(SYS_openat, dirfd, name, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) die("cannot read a file of the folder");
    emit(RESIZE, id, (uint64_t)size);
    for (long pos = 0; (pos = SYS3(SYS_lseek, fd, pos, SEEK_DATA)) >= 0;) {  /* skips holes */
        long hole = SYS3(SYS_lseek, fd, pos, SEEK_HOLE);
        while (pos < hole) {
            size_t want = (size_t)(hole - pos) < sizeof buf ? (size_t)(hole - pos) : sizeof buf;
            struct iovec v = { buf, want };
            long n = SYS4(SYS_pread64, fd, buf, want, pos);
            if (n <= 0) die("cannot read a file of the folder");
            emit_v(WRITE, 0, id, (uint64_t)pos, 0, "", 0, "", &v, (size_t)n);
            pos += n;
        }
    }
    SYS3(SYS_close, fd, 0, 0);
}
static void walk(long dirfd, uint64_t dir, int record) {
    char buf[2048];
    long n;
    while ((n = SYS3(SYS_getdents64, dirfd, buf, sizeof buf)) > 0)
        for (long i = 0; i < n;) {
            struct dirent64 *e = (struct dirent64 *)(buf + i);
            struct stat st;
            i += e->d_reclen;
            if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
            if (SYS4(SYS_newfstatat, dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) continue;
            uint64_t id = table[slot_of(st.st_ino)].id;
            if (S_ISDIR(st.st_mode)) {
                long fd = SYS4(SYS_openat, dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
                if (fd < 0) die("cannot read a directory of the folder");
                id = new_id(st.st_ino);
                if (record) emit_name(MKDIR, id, dir, e->d_name);
                walk(fd, id, record);
                SYS3(SYS_close, fd, 0, 0);
            } else if (S_ISREG(st.st_mode) && id) {
                if (record) emit_name(LINK, id, dir, e->d_name);
            } else if (S_ISREG(st.st_mode)) {
                id = new_id(st.st_ino);
                if (record) emit_name(CREATE, id, dir, e->d_name);
                if (record) baseline_file((int)dirfd, e->d_name, id, st.st_size);
            }
        }
}
static void walk_root(int record) {
    struct stat st;
    long fd = SYS3(SYS_open, root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0 || SYS3(SYS_fstat, fd, &st, 0) < 0) die("POWERLOSS_ROOT is not a readable folder");
    root_dev = st.st_dev;
    memset(table, 0, next_id ? sizeof table : 0);
    next_id = 0;
    walk(fd, new_id(st.st_ino), record);
    SYS3(SYS_close, fd, 0, 0);
}
/* Opened at the first change below the root, so that wrappers (sh, env) leave it to the program. */
static void start(void) {
    struct stat st;
    long fd = SYS3(SYS_open, trace_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || SYS3(SYS_fstat, fd, &st, 0) < 0) die("cannot open POWERLOSS_TRACE");
    if (st.st_size > 0) die("POWERLOSS_TRACE is not empty: a trace records one process");
    trace_fd = (int)SYS3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 500);  /* out of the program's way */
    if (trace_fd < 0) trace_fd = (int)fd; else SYS3(SYS_close, fd, 0, 0);
    owner = (pid_t)SYS3(SYS_getpid, 0, 0, 0);
    walk_root(1);
    emit(BASELINE_END, 0, 0);
}

/* Id of a file or directory below the root, or 0. Called with the mutex held. */
static uint64_t lookup(const struct stat *st) {
    if (st->st_dev != root_dev || !(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))) return 0;
    uint64_t id = table[slot_of(st->st_ino)].id;
    if (!id || owner) return id;
    start();
    return table[slot_of(st->st_ino)].id;
}
static uint64_t lookup_fd(long fd, struct stat *st) {
    return SYS3(SYS_fstat, fd, st, 0) < 0 ? 0 : lookup(st);
}
static uint64_t lookup_at(long dirfd, const char *path, int flags, struct stat *st) {
    memset(st, 0, sizeof *st);
    return SYS4(SYS_newfstatat, dirfd, path, st, flags) < 0 ? 0 : lookup(st);
}
/* Id of the directory which holds the last component of a path, and that component. */
static uint64_t lookup_parent(long dirfd, const char *path, char name[256]) {
    static char dir[4096];
    struct stat st;
    size_t end = strlen(path), cut;
    while (end > 0 && path[end - 1] == '/') end--;
    for (cut = end; cut > 0 && path[cut - 1] != '/';) cut--;
    if (end == cut || end - cut > 255 || cut >= sizeof dir) return 0;
    memcpy(name, path + cut, end - cut), name[end - cut] = 0;
    memcpy(dir, cut ? path : ".", cut ? cut : 1), dir[cut ? cut : 1] = 0;
    return lookup_at(dirfd, dir, 0, &st);
}

static long do_open(long nr, long *a, long dirfd, const char *path, long flags) {
    char name[256];
    struct stat st;
    lock();
    uint64_t dir = lookup_parent(dirfd, path, name), id = lookup_at(dirfd, path, 0, &st);
    int existed = st.st_mode != 0;
    if (!dir && !id) {                   /* elsewhere, and it may block (a FIFO) */
        unlock();
        return SYS(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    long r = SYS(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (r >= 0 && (flags & O_TMPFILE) == O_TMPFILE) {
        if (id) unsupported("O_TMPFILE");
    } else if (r >= 0 && !existed && SYS3(SYS_fstat, r, &st, 0) == 0) {
        emit_name(CREATE, new_id(st.st_ino), dir, name);
    } else if (r >= 0 && id && (flags & O_TRUNC) && S_ISREG(st.st_mode)) {
        emit(RESIZE, id, 0);
    }
    unlock();
    return r;
}

static long do_sync(long nr, long *a) {
    struct stat st;
    int all = nr == SYS_sync || nr == SYS_syncfs;
    lock();
    uint64_t id = all ? 0 : lookup_fd(a[0], &st), begin = n_records;
    int recorded = id || (all && owner);
    if (recorded)
        emit_v(SYNC_BEGIN, nr == SYS_fdatasync ? FDATASYNC : 0, id, 0, 0, "", 0, "", NULL, 0);
    unlock();
    long r = SYS3(nr, a[0], a[1], a[2]);  /* slow: others go on, and are not covered */
    if (recorded && r == 0) {            /* a failed sync promises nothing */
        lock();
        emit(SYNC_END, id, begin);
        unlock();
    }
    return r;
}

static long do_write(long nr, long *a) {
    struct stat st;
    if (SYS3(SYS_fstat, a[0], &st, 0) < 0 || !S_ISREG(st.st_mode))
        return SYS(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    lock();
    uint64_t id = lookup_fd(a[0], &st);
    if (!id) {
        unlock();
        return SYS(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    long flags = SYS3(SYS_fcntl, a[0], F_GETFL, 0);
    long r = SYS(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (r > 0) {
        int plain = nr == SYS_write || nr == SYS_writev || (nr == SYS_pwritev2 && a[3] == -1);
        int vector = nr == SYS_writev || nr == SYS_pwritev || nr == SYS_pwritev2;
        struct iovec one = { (void *)a[1], (size_t)r };
        /* A plain write leaves the position at its end; O_APPEND makes pwrite append as well. */
        long off = plain ? SYS3(SYS_lseek, a[0], 0, SEEK_CUR) - r
                         : flags & O_APPEND ? st.st_size : a[3];
        emit_v(WRITE, 0, id, (uint64_t)off, 0, "", 0, "",
               vector ? (const struct iovec *)a[1] : &one, (size_t)r);
        if (nr == SYS_pwritev2 && a[5]) unsupported("pwritev2 with flags");
        if (flags & O_DSYNC) {           /* also set in O_SYNC: durable when the call returns */
            uint64_t begin = n_records;
            emit_v(SYNC_BEGIN, FDATASYNC, id, 0, 0, "", 0, "", NULL, 0);
            emit(SYNC_END, id, begin);
        }
    }
    unlock();
    return r;
}

/* truncate, ftruncate, fallocate, shared mappings, in-kernel copies: one file, known by fd or path */
static long do_file(long nr, long *a, long fd) {
    struct stat st;
    lock();
    uint64_t id = nr == SYS_truncate ? lookup_at(AT_FDCWD, (const char *)a[0], 0, &st)
                                     : lookup_fd(fd, &st);
    int is_copy = nr == SYS_copy_file_range || nr == SYS_sendfile || nr == SYS_splice;
    if (!id || is_copy) {
        unlock();
        /* The data of an in-kernel copy never passes by here: make callers fall back to write. */
        if (id) return nr == SYS_splice ? -EINVAL : -ENOSYS;
        return SYS(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    long r = SYS(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (nr == SYS_mmap) {
        if ((unsigned long)r < -4095ul) unsupported("writable shared mapping");
    } else if (r == 0 && nr == SYS_fallocate) {
        if (a[1] & ~FALLOC_FL_KEEP_SIZE) unsupported("fallocate with a mode");
        else if (!a[1] && a[2] + a[3] > st.st_size) emit(RESIZE, id, (uint64_t)(a[2] + a[3]));
    } else if (r == 0) {
        emit(RESIZE, id, (uint64_t)a[1]);
    }
    unlock();
    return r;
}

/* Directory operations; of link and rename, (d2, p2) is the new name. */
static long do_name(long nr, long *a, int kind, long d1, const char *p1, long d2, const char *p2,
                    long flags) {
    char n1[256] = "", n2[256] = "";
    struct stat st, old;
    lock();
    uint64_t dir1 = lookup_parent(d1, p1, n1), dir2 = p2 ? lookup_parent(d2, p2, n2) : 0;
    int follow = kind == LINK && (flags & AT_SYMLINK_FOLLOW);
    uint64_t id = lookup_at(d1, p1, follow ? 0 : AT_SYMLINK_NOFOLLOW, &st);
    if (p2) lookup_at(d2, p2, AT_SYMLINK_NOFOLLOW, &old);
    int same = p2 && st.st_ino == old.st_ino && st.st_dev == old.st_dev;
    long r = SYS(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (r == 0 && kind == UNSUPPORTED) {  /* symlink, mknod: (d1, p1) is the new name */
        if (dir1) unsupported("symlink or special file");
    } else if (r == 0 && kind == MKDIR && dir1) {
        if (SYS4(SYS_newfstatat, d1, p1, &st, 0) == 0)
            emit_name(MKDIR, new_id(st.st_ino), dir1, n1);
    } else if (r == 0 && kind == LINK && dir2) {
        if (!id) unsupported("hard link to a file from elsewhere");
        else emit_name(LINK, id, dir2, n2);
    } else if (r == 0 && kind == RENAME && (dir1 || dir2)) {
        if (!dir1 || !dir2 || (flags & ~1L)) unsupported("rename across the root, or exchange");
        else if (id && !same) emit_v(RENAME, 0, id, 0, dir1, n1, dir2, n2, NULL, 0);
    } else if (r == 0 && (kind == UNLINK || kind == RMDIR) && dir1 && id) {
        emit_name(kind, id, dir1, n1);
        if (kind == RMDIR) table[slot_of(st.st_ino)].id = 0;
    }
    unlock();
    return r;
}

static long dispatch(long nr, long *a) {
    const char *s0 = (const char *)a[0], *s1 = (const char *)a[1], *s3 = (const char *)a[3];
    const long cwd = AT_FDCWD;
    switch (nr) {
    case SYS_open: return do_open(nr, a, cwd, s0, a[1]);
    case SYS_creat: return do_open(nr, a, cwd, s0, O_CREAT | O_WRONLY | O_TRUNC);
    case SYS_openat: return do_open(nr, a, a[0], s1, a[2]);
    case SYS_write: case SYS_writev: case SYS_pwrite64: case SYS_pwritev: case SYS_pwritev2:
        return do_write(nr, a);
    case SYS_fsync: case SYS_fdatasync: case SYS_sync: case SYS_syncfs: return do_sync(nr, a);
    case SYS_mmap: return do_file(nr, a, a[4]);
    case SYS_copy_file_range: case SYS_splice: return do_file(nr, a, a[2]);
    case SYS_rename: return do_name(nr, a, RENAME, cwd, s0, cwd, s1, 0);
    case SYS_renameat: return do_name(nr, a, RENAME, a[0], s1, a[2], s3, 0);
    case SYS_renameat2: return do_name(nr, a, RENAME, a[0], s1, a[2], s3, a[4]);
    case SYS_link: return do_name(nr, a, LINK, cwd, s0, cwd, s1, 0);
    case SYS_linkat: return do_name(nr, a, LINK, a[0], s1, a[2], s3, a[4]);
    case SYS_unlink: return do_name(nr, a, UNLINK, cwd, s0, 0, NULL, 0);
    case SYS_rmdir: return do_name(nr, a, RMDIR, cwd, s0, 0, NULL, 0);
    case SYS_unlinkat:
        return do_name(nr, a, a[2] & AT_REMOVEDIR ? RMDIR : UNLINK, a[0], s1, 0, NULL, 0);
    case SYS_mkdir: return do_name(nr, a, MKDIR, cwd, s0, 0, NULL, 0);
    case SYS_mkdirat: return do_name(nr, a, MKDIR, a[0], s1, 0, NULL, 0);
    case SYS_symlink: return do_name(nr, a, UNSUPPORTED, cwd, s1, 0, NULL, 0);
    case SYS_symlinkat: return do_name(nr, a, UNSUPPORTED, a[1], (const char *)a[2], 0, NULL, 0);
    case SYS_mknod: return do_name(nr, a, UNSUPPORTED, cwd, s0, 0, NULL, 0);
    case SYS_mknodat: return do_name(nr, a, UNSUPPORTED, a[0], s1, 0, NULL, 0);
    default: return do_file(nr, a, a[0]);  /* truncate, ftruncate, fallocate, sendfile */
    }
}
static void on_sigsys(int sig, siginfo_t *info, void *context) {
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    long a[6] = { g[REG_RDI], g[REG_RSI], g[REG_RDX], g[REG_R10], g[REG_R8], g[REG_R9] };
    (void)sig;
    g[REG_RAX] = dispatch(info->si_syscall, a);
}

static struct sock_filter code[160];
static unsigned short n_code;
static void op(uint16_t c, uint32_t k, uint8_t jt, uint8_t jf) {
    code[n_code++] = (struct sock_filter){ c, jt, jf, k };
}
#define LOAD(field) op(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field), 0, 0)
#define EQUAL(k, jt, jf) op(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(k), jt, jf)
#define ANY_BIT(k, jt, jf) op(BPF_JMP | BPF_JSET | BPF_K, (uint32_t)(k), jt, jf)
#define RETURN(k) op(BPF_RET | BPF_K, k, 0, 0)

__attribute__((constructor)) static void install(void) {
    static const int always[] = {
        SYS_creat, SYS_write, SYS_writev, SYS_pwrite64, SYS_pwritev, SYS_pwritev2, SYS_fsync,
        SYS_fdatasync, SYS_sync, SYS_syncfs, SYS_truncate, SYS_ftruncate, SYS_fallocate, SYS_rename,
        SYS_renameat, SYS_renameat2, SYS_link, SYS_linkat, SYS_unlink, SYS_unlinkat, SYS_rmdir,
        SYS_mkdir, SYS_mkdirat, SYS_symlink, SYS_symlinkat, SYS_mknod, SYS_mknodat,
        SYS_copy_file_range, SYS_sendfile, SYS_splice };
    /* Writers the handler cannot see into; programs fall back when the kernel lacks them. */
    static const int absent[] = { SYS_openat2, SYS_io_setup, SYS_io_uring_setup };
    const uint32_t changing = O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
    struct sigaction sa = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_RESTART };

    root_path = getenv("POWERLOSS_ROOT"), trace_path = getenv("POWERLOSS_TRACE");
    if (!root_path || !trace_path) return;
    void *page = mmap((void *)(STUB_HI << 32 | STUB_LO), 4096, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (page == MAP_FAILED) abort();
    memcpy(page, stub_begin, (size_t)(stub_end - stub_begin));
    if (mprotect(page, 4096, PROT_READ | PROT_EXEC)) abort();
    walk_root(0);

    LOAD(arch), EQUAL(AUDIT_ARCH_X86_64, 1, 0), RETURN(SECCOMP_RET_ALLOW);
    LOAD(instruction_pointer) , code[n_code - 1].k += 4;  /* high half, little-endian */
    EQUAL(STUB_HI, 0, 4);
    LOAD(instruction_pointer), op(BPF_ALU | BPF_AND | BPF_K, ~4095u, 0, 0);
    EQUAL(STUB_LO, 0, 1), RETURN(SECCOMP_RET_ALLOW);
    LOAD(nr);
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        EQUAL(always[i], 0, 1), RETURN(SECCOMP_RET_TRAP);
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        EQUAL(absent[i], 0, 1), RETURN(SECCOMP_RET_ERRNO | ENOSYS);
    /* Calls of interest only with certain arguments; the program loader must not be trapped. */
    EQUAL(SYS_open, 0, 4), LOAD(args[1]), ANY_BIT(changing, 0, 1), RETURN(SECCOMP_RET_TRAP);
    RETURN(SECCOMP_RET_ALLOW);
    EQUAL(SYS_openat, 0, 4), LOAD(args[2]), ANY_BIT(changing, 0, 1), RETURN(SECCOMP_RET_TRAP);
    RETURN(SECCOMP_RET_ALLOW);
    EQUAL(SYS_mmap, 0, 5), LOAD(args[2]), ANY_BIT(PROT_WRITE, 0, 3), LOAD(args[3]);
    ANY_BIT(MAP_SHARED, 0, 1), RETURN(SECCOMP_RET_TRAP);
    RETURN(SECCOMP_RET_ALLOW);
    struct sock_fprog program = { n_code, code };
    sigfillset(&sa.sa_mask);
    if (sigaction(SIGSYS, &sa, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
        die("cannot install the seccomp filter");
}
