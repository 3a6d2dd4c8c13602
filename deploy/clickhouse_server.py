"""A ClickHouse server of one's own, from the clickhouse-server on this machine, on the loopback address only.

Any version will do; the settings are those that Debian's 18.16 and today's servers both read.
"""

from __future__ import annotations

import os
import shutil
import socket
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from clickhouse_driver import Client
from clickhouse_driver.errors import Error

from deploy.processes import LOOPBACK, Server, free_port

if TYPE_CHECKING:
    from pathlib import Path

CONFIG_XML = """\
<?xml version="1.0"?>
<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <listen_host>{host}</listen_host>
  <tcp_port>{tcp_port}</tcp_port>
  <http_port>{http_port}</http_port>
  <path>{data_dir}/store/</path>
  <tmp_path>{data_dir}/tmp/</tmp_path>
  <user_files_path>{data_dir}/user_files/</user_files_path>
  <format_schema_path>{data_dir}/format_schemas/</format_schema_path>
  <users_config>{data_dir}/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <timezone>UTC</timezone>
  <mlock_executable>false</mlock_executable>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <mark_cache_size>67108864</mark_cache_size>
  <max_concurrent_queries>100</max_concurrent_queries>
</yandex>
"""

USERS_XML = """\
<?xml version="1.0"?>
<yandex>
  <profiles>
    <default>
      <max_memory_usage>1000000000</max_memory_usage>
      <!-- An orderly stop waits so many seconds for idle connections; the default is 10. -->
      <poll_interval>1</poll_interval>
    </default>
  </profiles>
  <quotas><default></default></quotas>
  <users>
    <default>
      <password>{password}</password>
      <networks><ip>{host}</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </default>
  </users>
</yandex>
"""


def find_clickhouse_server() -> str | None:
    """Find the server's program; /usr/sbin, where Debian puts it, is not on everyone's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which("clickhouse-server", path=path)


class ClickHouseServer(Server):
    """A server on `data_dir` with one user, `default`; `url` is its native-protocol address for clients."""

    name = "clickhouse-server"

    def __init__(self, data_dir: Path, *, password: str = "") -> None:
        super().__init__(data_dir)
        self.port = free_port()
        self.http_port = free_port()
        self.password = password

    @property
    def url(self) -> str:
        return f"clickhouse://default:{quote(self.password, safe='')}@{LOOPBACK}:{self.port}/default"

    def _prepare(self) -> list[str]:
        program = find_clickhouse_server()
        if program is None:
            raise RuntimeError("there is no clickhouse-server on this machine: apt-get install clickhouse-server")
        values = {
            "host": LOOPBACK,
            "tcp_port": self.port,
            "http_port": self.http_port,
            "data_dir": escape(str(self.data_dir)),
            "password": escape(self.password),
        }
        config_path = self.data_dir / "config.xml"
        config_path.write_text(CONFIG_XML.format_map(values))
        users_path = self.data_dir / "users.xml"
        users_path.touch(mode=0o600)
        users_path.write_text(USERS_XML.format_map(values))
        return [program, f"--config-file={config_path}"]

    def _answers(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, self.port)) != 0:
                return False
        client = Client(LOOPBACK, self.port, password=self.password, connect_timeout=2, send_receive_timeout=5)
        try:
            return bool(client.execute("SELECT 1") == [(1,)])
        except (Error, OSError, EOFError):
            return False
        finally:
            client.disconnect()
