/* Kills the program in which it is loaded right before a counted operation on files: removing,
   renaming, cutting, or making durable. OCM_TEST_KILL_AT says which; the first is 1. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long left;

__attribute__((constructor)) static void begin(void) {
    const char *at = getenv("OCM_TEST_KILL_AT");
    atomic_store(&left, at ? atol(at) : 0);
}

static void count(void) {
    if (atomic_fetch_sub(&left, 1) == 1) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
}

int unlink(const char *path) {
    count();
    return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int unlinkat(int directory, const char *path, int flags) {
    count();
    return syscall(SYS_unlinkat, directory, path, flags);
}

int rename(const char *from, const char *to) {
    count();
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int ftruncate64(int file, off64_t size) {
    count();
    return syscall(SYS_ftruncate, file, size);
}

int fsync(int file) {
    count();
    return syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    count();
    return syscall(SYS_fdatasync, file);
}
