/* tray eject|close|status DEVICE: the CD-ROM tray as a guest's program sees it (linux/cdrom.h). */
#include <fcntl.h>
#include <limits.h>
#include <linux/cdrom.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

static int status(int fd) {
  static const char* const names[] = {"no-info", "no-disc", "open", "not-ready", "disc"};
  int now = ioctl(fd, CDROM_DRIVE_STATUS, CDSL_CURRENT);
  if (now < 0 || now > CDS_DISC_OK) return -1;
  puts(names[now]);
  return 0;
}

int main(int argc, char** argv) {
  int fd = argc == 3 ? open(argv[2], O_RDONLY | O_NONBLOCK) : -1;
  int result = -1;
  if (fd < 0) {
    fputs("usage: tray eject|close|status DEVICE\n", stderr);
    return 2;
  }
  if (!strcmp(argv[1], "eject")) result = ioctl(fd, CDROMEJECT, 0);
  if (!strcmp(argv[1], "close")) result = ioctl(fd, CDROMCLOSETRAY, 0);
  if (!strcmp(argv[1], "status")) result = status(fd);
  if (result < 0) perror(argv[1]);
  return result < 0;
}
