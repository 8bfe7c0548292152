/* The simplest echo server: one datagram per call, there and back.
 * Usage: echo PORT 0. Loopback only.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { LONGEST = 65536 };

int main(int argc, char **argv)
{
    static char buffer[LONGEST];
    if (argc != 3)
        return 2;
    struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) }, client;
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int server = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;
    /* As udpulse does, where that is permitted. */
    setsockopt(server, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (bind(server, (struct sockaddr *)&own, sizeof own))
        return 1;
    for (;;) {
        socklen_t length = sizeof client;
        ssize_t got = recvfrom(server, buffer, LONGEST, 0, (struct sockaddr *)&client, &length);
        if (got >= 0)
            sendto(server, buffer, got, 0, (struct sockaddr *)&client, length);
    }
}
