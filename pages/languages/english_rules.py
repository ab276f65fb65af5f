"""The English of why a line of ``_redirects`` or ``_headers`` has no effect; each goes on after a colon."""

RULES = {
    "{file:word} 第 {line:number} 行已忽略: {reason:message}（{text}）": (
        "{file}, line {line} is ignored: {reason} ({text})"
    ),
    "{file:word} 第 {line:number} 行已忽略: {reason:message}": "{file}, line {line} is ignored: {reason}",
    "自此行起另有 {more:number} 行被忽略，不再逐一列出": (
        "from this line on {more} more lines are ignored, which are not listed"
    ),
    "已有 {count:number} 行被忽略，自此行起未读取": (
        "{count} lines are ignored by now, and nothing is read from this line on"
    ),
    "文件超过 {limit:number} 字节，自此行起未读取": (
        "the file is over {limit} bytes, and nothing is read from this line on"
    ),
    "超过 {limit:number} 个字符": "more than {limit} characters",
    "不是有效的 UTF-8": "not valid UTF-8",
    "含有控制字符": "holds a control character",
    # Paths and hosts.
    "路径必须以 / 开头，或者是 http(s):// 开头的完整地址": (
        "the path must start with /, or be a full address that starts with http(s)://"
    ),
    "路径不能含 ? 或 #；查询参数请写成 /path 名称=值 /目标": (
        "the path must not hold ? or #; write query parameters as /path name=value /target"
    ),
    "* 和占位符超过 {limit:number} 个": "more than {limit} of * and placeholders",
    "* 只能出现一次（它就是 :splat），同名占位符也只能出现一次": (
        "* may stand only once (it is :splat), and so may a placeholder of one name"
    ),
    "带占位符的路径超过 {limit:number} 段": "a path with placeholders has more than {limit} parts",
    "同一段里两个占位符之间的文字超过 {limit:number} 个字符": (
        "the text between two placeholders of one part is over {limit} characters"
    ),
    "主机名过长": "the host name is too long",
    "主机名无效: {reason:message}": "the host name is not valid: {reason}",
    "主机名无效: 不能含端口，带占位符时只能是 ASCII": (
        "the host name is not valid: it must not hold a port, and with placeholders it must be ASCII"
    ),
    # Redirects.
    "缺少目标；写法: /路径 /目标 [状态码]": "the target is missing; write: /path /target [status]",
    "缺少目标；只有以 /* 结尾且状态码为 200 的规则可以省略目标": (
        "the target is missing; only a rule that ends with /* and has the status 200 may leave it out"
    ),
    "目标必须以 / 或 http(s):// 开头": "the target must start with / or http(s)://",
    "目标不能以 // 或 /\\ 开头（会被浏览器当作其他主机）；其他主机请写完整的 https:// 地址": (
        "the target must not start with // or /\\ (browsers take it for another host); "
        "write the full https:// address of another host"
    ),
    "目标路径不能含 . 或 .. 部分，也不能过长": "the target's path must not have a part . or .. and not be too long",
    "目标的主机部分只能是主机名和端口，不能含占位符或用户名": (
        "the target's host must be a host name and port alone, without placeholders or a user name"
    ),
    "状态码 {status:number} 的目标只能是本站路径，不支持代理到其他主机": (
        "with the status {status} the target must be a path of this site; there is no proxying to other hosts"
    ),
    "状态码只能是 301、302、303、307、308、200、404、410，可加 !": (
        "the status must be 301, 302, 303, 307, 308, 200, 404 or 410, with ! if you like"
    ),
    "状态码之后有多余的内容": "something follows the status",
    "会无限重定向到自身（匹配时不看末尾的斜杠和 http/https）": (
        "it redirects to itself without end (the slash at the end and http/https make no difference to a match)"
    ),
    "不支持条件（Country、Language、Role、Cookie、Sign 等），为避免无条件生效，整行不用": (
        "conditions (Country, Language, Role, Cookie, Sign and others) are not supported; "
        "lest it hold without them, the whole line is not used"
    ),
    "路径与目标之间只能是 名称=值 形式的查询参数": (
        "between path and target only query parameters may stand, as name=value"
    ),
    "同一个查询参数写了两次": "a query parameter is there twice",
    "同名占位符只能出现一次": "a placeholder of one name may stand only once",
    "占位符超过 {limit:number} 个": "more than {limit} placeholders",
    "占位符用了超过 {limit:number} 次": "placeholders are used more than {limit} times",
    "百分号编码解码后不是有效的 UTF-8": "percent-decoded it is not valid UTF-8",
    "路径与第 {line:number} 行相同，永远轮不到这一行": (
        "the path is that of line {line}, so this one never has its turn"
    ),
    "固定路径的规则超过 {limit:number} 条": "more than {limit} rules with a fixed path",
    "带 *、占位符、主机名或查询参数的规则超过 {limit:number} 条": (
        "more than {limit} rules with *, a placeholder, a host name or query parameters"
    ),
    # Headers.
    "应为 名称: 值，或 ! 名称": "expected name: value, or ! name",
    "{name:word} 没有值；要去掉一个头部请写 ! {name:word}": "{name} has no value; to remove a header write ! {name}",
    "头部的值只能是可打印的 ASCII 字符": "the value of a header must be printable ASCII characters",
    "头部名称只能是字母、数字和 !#$%&'*+-.^_`|~，不含空格": (
        "the name of a header must be letters, digits and !#$%&'*+-.^_`|~ without blanks"
    ),
    "{name:word} 不能去掉（缓存和浏览器要靠它），但可以设置": (
        "{name} cannot be removed (caches and browsers rely on it), but it can be set"
    ),
    "{name} 由服务器管理，不能设置或去掉": "{name} is the server's own, and can be neither set nor removed",
    "头部之前要先有一行路径（以 / 或 https:// 开头）": (
        "a line with a path (it starts with / or https://) must come before headers"
    ),
    "完整地址只能以 https:// 开头（对 http 也生效），此路径及其头部不生效": (
        "a full address must start with https:// (it holds for http as well); this path and its headers have no effect"
    ),
    "超过 {limit:number} 个路径，此路径及其头部不生效": (
        "more than {limit} paths; this path and its headers have no effect"
    ),
    "一个路径下超过 {limit:number} 个头部": "more than {limit} headers for one path",
    "文件中超过 {limit:number} 个头部": "more than {limit} headers in the file",
    "此路径下没有有效的头部": "the path has no header that is valid",
}
