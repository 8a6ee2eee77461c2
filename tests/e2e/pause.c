// SPDX-License-Identifier: Apache-2.0
// A program that does nothing until it is told to end: the first process of the node, of every pod and of every container.
// With an argument it ends at once, as a job that is done.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int number) {
    (void)number;
    _exit(0);
}

static void reap(int number) {
    (void)number;
    while (waitpid(-1, 0, WNOHANG) > 0) {
    }
}

int main(int count, char **arguments) {
    (void)arguments;
    if (count > 1) return 0;
    signal(SIGTERM, end);
    signal(SIGINT, end);
    signal(SIGCHLD, reap);  // as a first process it inherits every orphan
    for (;;) {
        pause();
    }
}
