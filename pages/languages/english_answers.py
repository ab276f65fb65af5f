"""The English of what the API answers: done, refused, and the warnings of a deploy."""

ANSWERS = {
    # Done.
    "站点创建成功": "The site was created",
    "站点更新成功": "The site was updated",
    "站点删除成功": "The site was deleted",
    "站点已部署": "The site was deployed",
    "检查点已保存，未激活": "The checkpoint was stored and is not live",
    "试运行通过，未做任何更改": "The dry run passed; nothing was changed",
    "检查点已创建": "The checkpoint was created",
    "检查点更新成功": "The checkpoint was updated",
    "检查点已删除": "The checkpoint was deleted",
    "站点已切换到检查点": "The site was switched to the checkpoint",
    "已计划切换": "The switch is planned",
    "已取消计划中的切换": "The planned switch was cancelled",
    "切换已确认": "The switch was confirmed",
    "预览链接已创建": "The preview link was created",
    "全部预览已撤销": "All previews were revoked",
    "试运行完成，未删除任何检查点": "The dry run is finished; no checkpoint was deleted",
    "检查点清理完成": "The checkpoints were pruned",
    "重载成功，当前 {count:number} 个站点已生效": "Reloaded; sites in force: {count}",
    "检查完成": "The check is finished",
    # Maintenance.
    "缓存清理成功": "The cache was cleared",
    "数据备份成功": "The backup was made",
    "系统重启指令已发送，服务将在3秒后重启": "The restart was ordered; the service restarts in 3 seconds",
    "开发环境：系统重启请求已记录": "Development environment: the request to restart was logged",
    "在开发环境中，请手动重启服务器": "In the development environment, restart the server by hand",
    "无效的操作类型": "Unknown action",
    "操作失败": "The operation failed",
    # Requests that are refused.
    "认证失败": "Authentication failed",
    "权限不足": "Permission denied",
    "拒绝跨站请求": "Cross-site request refused",
    "登录失败次数过多，请 {seconds:number} 秒后重试": "Too many failed logins; try again in {seconds} seconds",
    "接口不存在": "There is no such call",
    "请求方法不允许": "Method not allowed",
    "请求无效或不完整": "The request is invalid or incomplete",
    "请求参数错误": "A parameter of the request is wrong",
    "请求的 Content-Type 必须是 application/json": "The request's Content-Type must be application/json",
    "请求体不是有效的 JSON": "The request body is not valid JSON",
    "请求体必须是 JSON 对象": "The request body must be a JSON object",
    "请求体过大": "The request body is too large",
    "请求体超过上限 {limit:number} 字节": "The request body is over the limit of {limit} bytes",
    "请求体接收过慢，已中止": "The request body came in too slowly and was cut off",
    "表单字段过多或过大": "The form has too many fields, or too large ones",
    "一次只能上传一个文件": "Only one file can be uploaded at a time",
    "上传内容过大": "The upload is too large",
    "上传文件超过上限 max_upload_bytes = {limit:number} 字节": (
        "The file is over the limit max_upload_bytes = {limit} bytes"
    ),
    # What nginx says.
    "请求过于频繁，请稍后重试": "Too many requests; try again later",
    "服务暂时不可用，请稍后重试": "The service is not available for now; try again later",
    # Sites and checkpoints.
    "站点不存在": "The site does not exist",
    "站点已存在": "The site exists already",
    "域名已被占用": "The domain is taken",
    "域名已被占用: {domain}": "The domain is taken: {domain}",
    "站点配置损坏": "The site's record is damaged",
    "站点正忙，请稍后重试": "The site is busy; try again later",
    "站点已锁定发布，请先解除锁定": "The site is locked against publishing; unlock it first",
    "设置在此期间已被更改，您的更改没有保存": "The settings were changed in the meantime; yours are not saved",
    "站点已变化，当前检查点为 {current:message}": "The site has changed; its current checkpoint is {current}",
    "无": "none",
    "备份不存在": "The backup does not exist",
    "检查点不存在": "The checkpoint does not exist",
    "不能删除当前激活的检查点": "The current checkpoint cannot be deleted",
    "检查点已固定，请先取消固定": "The checkpoint is pinned; unpin it first",
    "检查点正等待切换，请先确认或取消": "A switch is waiting for the checkpoint; confirm or cancel it first",
    "没有等待确认的切换": "No switch is waiting for a confirmation",
    "没有计划中的切换": "No switch is planned",
    "没有可恢复的上一个检查点": "There is no checkpoint before this one to return to",
    "检查点元数据损坏，站点未改变": "The checkpoint metadata is damaged; the site was not changed",
    "检查点归档损坏或缺失，站点未改变": "The checkpoint's archive is damaged or missing; the site was not changed",
    "站点目录为空，无法创建检查点": "The site's folder is empty; there is nothing to make a checkpoint of",
    "幂等键已用于其他内容，请更换 Idempotency-Key": (
        "The idempotency key was used with other content; choose another Idempotency-Key"
    ),
    "该域名不可签发证书": "No certificate may be issued for this domain",
    # Room.
    "超出配额: {detail:message}": "Over the quota: {detail}",
    "quota_sites = {limit:number}，已有 {count:number} 个站点，请先删除不用的站点": (
        "quota_sites = {limit}, sites there are: {count}; delete some that are not needed first"
    ),
    "quota_checkpoints = {limit:number}，该站点已有 {count:number} 个检查点，请先删除不用的检查点": (
        "quota_checkpoints = {limit}, checkpoints of this site: {count}; delete some that are not needed first"
    ),
    "quota_bytes = {limit:number} 字节，已用 {used:number} 字节，此次至少还需 {more:number} 字节": (
        "quota_bytes = {limit} bytes, in use: {used} bytes; this takes at least {more} bytes more"
    ),
    "存储空间不足，请清理后重试": "The storage is full; make room and try again",
    "存储当前为只读，暂时无法修改": "The storage is read-only for now; nothing can be changed",
    "数据目录不可写: {error:ascii}": "The data folder cannot be written: {error}",
    "服务繁忙，请稍后重试": "The service is busy; try again later",
    "服务不可用": "The service is not available",
    "服务器内部错误": "Internal server error",
    # Warnings.
    "没有找到首页 {index}，访问站点根路径会得到 404": "There is no index {index}: the site's root will answer 404",
    "首页 {index:first} 不在根目录，而在文件夹 {folder} 中；部署时加上表单字段 root={folder} 可将其作为站点根目录": (
        "The index {index} is not at the root but in the folder {folder}; "
        "deploy with the form field root={folder} to publish that folder"
    ),
    "站点已锁定发布：此版本已保存，未激活": (
        "The site is locked against publishing: this version was stored and is not live"
    ),
    "已略过符号链接或特殊文件: {name}": "A symlink or special file was left out: {name}",
    "已略过名称不是 UTF-8 的文件: {name}": "A file whose name is not UTF-8 was left out: {name}",
    "已略过无法读取的文件: {name}（{error:ascii}）": "A file that cannot be read was left out: {name} ({error})",
    # A deploy of what is new alone.
    "服务器缺少部分文件，请补充上传": "The server lacks some of the files; send those too",
    "文件内容与清单不符: {path}": "A file's content is not what the manifest says: {path}",
    "压缩包中有清单未列出的条目: {path}": "The archive holds an entry that the manifest does not list: {path}",
    "字段 manifest 超过上限 {most:number} 字节": "Field manifest is over the limit of {most} bytes",
    "没有列出文件": "lists no files",
    "条目名含反斜杠: {untrusted_name}": "an entry's name holds a backslash: {untrusted_name}",
    '必须是 {{"files": {{路径: SHA-256}}, "folders": [路径]}}，且名称不重复': (
        'must be {{"files": {{path: SHA-256}}, "folders": [path]}}, with no name twice'
    ),
    "摘要数超过上限 max_files = {max_files:number}": "There are more digests than max_files = {max_files}",
    "不能与 manifest 同时使用": "must not come with a manifest",
    "必须是 SHA-256 的数组（各为 64 位小写十六进制）": "must be an array of SHA-256 (64 lower-case hex digits each)",
    "必须作为文件上传": "must be sent as a file",
    # Tokens.
    "令牌创建成功": "The token was created",
    "令牌已撤销": "The token was revoked",
    "令牌不存在": "There is no such token",
    "令牌数量已达上限 {limit:number}，请先撤销不用的令牌": (
        "There are {limit} tokens, which is the most: revoke one that is not used"
    ),
    "expires_in 与 expires_at 只能给出一个": "Give one of expires_in and expires_at",
}
