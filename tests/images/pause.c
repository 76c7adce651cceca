/* Holds a pod's namespaces open: it waits for signals and does nothing else. */
#include <signal.h>
#include <unistd.h>

static void end(int signal) { _exit(128 + signal); }

int main(void) {
  signal(SIGTERM, end);
  signal(SIGINT, end);
  for (;;) pause();
}
